package ledger

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// concealRounds makes one guess at a private file's content cost about as much as one at a password.
const concealRounds = 100_000

// Conceal makes of the SHA-256 sum of a file that only some may read on the machine, such as a configuration with a password
// in it, one that tells whether the content has changed and is slow to guess the content from. It is the same for the
// same path and content.
func Conceal(path, sum string) (string, error) {
	key, err := pbkdf2.Key(sha256.New, sum, []byte("imgops ledger 1\x00"+path), concealRounds, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("concealing the sum of %s: %w", path, err)
	}
	return "slow:" + hex.EncodeToString(key), nil
}

// Private says that not everybody may read a file with this mode.
func Private(mode uint32) bool { return mode&0o004 == 0 }
