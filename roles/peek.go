package roles

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// PeekConfig reads imgops.yaml as it is on disk, without the roles: quick, so that a caller can connect to the accounts
// while the fleet is still being loaded. What a Fleet says later counts; there may be differences.
func (r *Repo) PeekConfig(ctx context.Context) (Config, error) {
	if err := ctx.Err(); err != nil {
		return Config{}, err
	}
	data, err := os.ReadFile(filepath.Join(r.root, configFile))
	if err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", configFile, err)
	}
	c, problems := parseConfig(data)
	return c, problemsError(problems)
}
