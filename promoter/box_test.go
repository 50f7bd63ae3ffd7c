package promoter_test

import (
	"testing"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
	"github.com/imgops/imgops/promoter"
)

var (
	buildAt = images.Location{Account: "111111111111", Region: "us-east-1"}
	shared  = promoter.Target{Name: "production", Accounts: []string{"222222222222", "333333333333"}, Regions: []string{"us-east-1", "eu-west-1"}}
	owned   = promoter.Target{Name: "own", Accounts: []string{"444444444444"}, Regions: []string{"eu-west-1"}, Mode: promoter.ModeCopy}
)

// cloud is a sandbox without machines.
type cloud struct{ *sandboxtest.Cloud }

func newCloud(t *testing.T) *cloud {
	t.Helper()
	return &cloud{sandboxtest.New(t)}
}

// candidate registers a verified image of role web in the build location.
func (c *cloud) candidate(t *testing.T, digest string) images.Image {
	t.Helper()
	return c.register(t, images.Image{
		Name: "acme-web-" + digest, Fleet: "acme", Role: "web", Digest: "sha256:" + digest, Commit: "b1", Run: "run-1", Verified: "sha256:t1",
	})
}

// register makes an available image in the build location.
func (c *cloud) register(t *testing.T, img images.Image) images.Image {
	t.Helper()
	return c.Register(t, buildAt, img)
}
