package builder

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// The base's volumes go with the machine of the bake, and in the image that it becomes they stay as the base has it.
func TestVolumesOfTheBase(t *testing.T) {
	l := newLab(t, shellFleet)
	l.req.Base.Volumes = []images.Volume{{Device: "/dev/sdf"}, {Device: "/dev/sdg", DeleteOnTermination: true}}
	img, err := l.builder.Build(t.Context(), l.req)
	require.NoError(t, err)
	require.Equal(t, l.req.Base.Volumes, img.Volumes)
	var devices []string
	for _, d := range l.cloud.Instances()[0].BlockDeviceMappings {
		require.True(t, *d.Ebs.DeleteOnTermination, *d.DeviceName)
		devices = append(devices, *d.DeviceName)
	}
	require.Equal(t, []string{"/dev/xvda", "/dev/sdf", "/dev/sdg"}, devices)
}
