package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// clientToken looks a ClientToken up, for the calls that have one (ec2-facts 1.1 to 1.5): the row's ID is what the same
// request made before, or empty; the same token with other parameters is an error.
func (q *call) clientToken(token string, request any) (tokenRow, error) {
	if len(token) > 64 {
		return tokenRow{}, badParameter(token, "clientToken", "It can have 64 ASCII characters at most.")
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return tokenRow{}, fmt.Errorf("hash the parameters of %s: %w", q.action, err)
	}
	sum := sha256.Sum256(raw)
	row := tokenRow{Hash: hex.EncodeToString(sum[:]), Since: q.now}
	if token == "" {
		return row, nil
	}
	old, used := q.tokens.Get(q.tx, q.key(q.action, token))
	if used && old.Hash != row.Hash {
		return row, fail("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).")
	}
	row.ID = old.ID
	return row, nil
}

// keepToken stages what the token has led to.
func (q *call) keepToken(token string, row tokenRow, id string) {
	if token != "" {
		row.ID = id
		q.tokens.Put(q.tx, q.key(q.action, token), row)
	}
}

// withoutToken is the request with its token taken out, so that the token is no part of what must be equal.
func withoutToken[T any](request T, clear func(*T)) T {
	clear(&request)
	return request
}
