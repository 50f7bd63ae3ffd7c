package builder

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/images/machine"
)

// cleanScript runs as root at the end of every bake.
//
//go:embed clean.sh
var cleanScript string

// clean removes what belongs to the build machine alone. The kept SSH connection outlives its authorized key; after
// this there is no way in any more but through it, and the machine is stopped through the API. When the caller wants to know
// what the image holds, it is listed by the same shell: there is no way to become root afterwards.
func (k *bake) clean(ctx context.Context) error {
	k.say("clean", k.machine.ID)
	log, err := k.openLog("clean")
	if err != nil {
		return err
	}
	defer log.close()
	key := strings.Fields(k.machine.PublicKey())[1]
	command := k.machine.AsRoot("sh -s -- " + machine.Quote(key))
	if k.req.Inventory == nil {
		return k.cleanWith(ctx, command, cleanScript, log, log)
	}
	var listing limited
	boundary := "imgops-" + rand.Text()
	if err := k.cleanWith(ctx, command, withInventory(boundary), &listing, log); err != nil {
		return err
	}
	k.listing = func() (ledger.Inventory, error) { return parseInventory(listing.Bytes(), boundary) }
	return nil
}

func (k *bake) cleanWith(ctx context.Context, command, script string, out io.Writer, log *stepLog) error {
	if err := k.machine.Run(ctx, command, strings.NewReader(script), out, log); err != nil {
		return fmt.Errorf("cleaning %s: %w\n%s(log: %s)", k.machine, err, log.tail(), log.path)
	}
	return nil
}

// tellInventory tells the caller what the image holds. It is worked out here, while EC2 makes the image.
func (k *bake) tellInventory(context.Context) error {
	if k.listing == nil {
		return nil
	}
	inv, err := k.listing()
	if err != nil {
		err = fmt.Errorf("listing what %s holds: %w", k.machine, err)
	}
	k.req.Inventory(k.image, inv, err)
	return nil
}
