package roles

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// InitRepo makes a Git repository in a directory, with no commit and HEAD on the branch.
func InitRepo(ctx context.Context, dir, branch string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: plumbing.NewBranchReferenceName(branch)}})
	if err != nil {
		return fmt.Errorf("making a Git repository in %s: %w", dir, err)
	}
	return nil
}
