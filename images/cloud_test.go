package images_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

var (
	buildAt = images.Location{Account: "111111111111", Region: "us-east-1"}
	targetA = images.Location{Account: "222222222222", Region: "us-east-1"}
	targetB = images.Location{Account: "333333333333", Region: "us-east-1"}
)

// clients lead to a sandbox without machines.
type clients struct{ *sandboxtest.Cloud }

func newClients(t *testing.T) *clients {
	t.Helper()
	return &clients{sandboxtest.New(t)}
}

// register makes an available image of the build account with tags, and shares it.
func (c *clients) register(t *testing.T, img images.Image, with ...images.Location) images.Image {
	t.Helper()
	img = c.Register(t, buildAt, img)
	for _, loc := range with {
		c.Share(t, img, loc.Account)
	}
	return img
}

// web is an image of role web of fleet acme.
func web(digest string) images.Image {
	return images.Image{Name: "acme-web-" + digest, Fleet: "acme", Role: "web", Digest: "sha256:" + digest, Commit: "c0ffee", Run: "run-1"}
}

func (c *clients) point(t *testing.T, loc images.Location, role, image string) images.Pointer {
	t.Helper()
	pointers, err := images.OpenPointers(t.Context(), c, loc, "acme")
	require.NoError(t, err)
	ptr, err := pointers.Set(t.Context(), role, image, "for a test")
	require.NoError(t, err)
	return ptr
}
