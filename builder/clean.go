package builder

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/imgops/imgops/images/machine"
)

// cleanScript runs as root at the end of every bake.
//
//go:embed clean.sh
var cleanScript string

// clean removes what belongs to the build machine alone. The kept SSH connection outlives its authorized key; after
// this there is no way in any more but through it, and the machine is stopped through the API.
func (k *bake) clean(ctx context.Context) error {
	k.say("clean", k.machine.ID)
	log, err := k.openLog("clean")
	if err != nil {
		return err
	}
	defer log.close()
	key := strings.Fields(k.machine.PublicKey())[1]
	command := k.machine.AsRoot("sh -s -- " + machine.Quote(key))
	if err := k.machine.Run(ctx, command, strings.NewReader(cleanScript), log, log); err != nil {
		return fmt.Errorf("cleaning %s: %w\n%s(log: %s)", k.machine, err, log.tail(), log.path)
	}
	return nil
}
