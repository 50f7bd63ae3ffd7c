package roles

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForksAreNoSetting: a fork's pull request brings an imgops.yaml of its own.
func TestForksAreNoSetting(t *testing.T) {
	for _, key := range []string{"allow_forks", "allow-forks"} {
		_, problems := parseConfig([]byte(imgopsYAML + "settings: {quiet: true, " + key + ": true}\n"))
		require.Len(t, problems, 1)
		require.Contains(t, problems[0].Message, "whether forks are built is not the fleet's to say")
		require.Contains(t, problems[0].Fix, "IMGOPS_ALLOW_FORKS=true")
	}
	_, problems := parseConfig([]byte(imgopsYAML + "settings: {quite: true}\n"))
	require.Len(t, problems, 1)
	require.NotContains(t, problems[0].Fix, "forks")
}
