package images_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

// Where EC2's pages come empty, with a token, a catalogue misses nothing.
func TestCatalogueReadsPastEmptyPages(t *testing.T) {
	cloud := sandboxtest.New(t, func(o *sandbox.Options) {
		o.Conditions = sandbox.Conditions{Consistency: 1e-9, Seed: 1} // no read lags by as much as a call takes
	})
	var list []images.Image
	for n := range 5 {
		list = append(list, images.Image{Name: fmt.Sprintf("web-%d", n), Fleet: "acme", Role: "web", Digest: fmt.Sprint(n)})
	}
	cloud.RegisterAll(t, buildAt, list...)
	api, err := cloud.EC2(t.Context(), buildAt)
	require.NoError(t, err)
	cloud.Forget(0)
	const looks = 40
	for range looks {
		found, err := images.NewCatalogue(buildAt, api).OfFleet(t.Context(), "acme")
		require.NoError(t, err)
		require.Len(t, found, len(list))
	}
	require.Greater(t, cloud.Calls()["DescribeImages"], looks, "some looks took several pages")
}
