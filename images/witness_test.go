package images

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTips feeds the reader what anybody could write to the parameter: what it takes is a tip, and it takes none otherwise.
func FuzzTips(f *testing.F) {
	f.Add(`{"tips":{"imgops-ledger":{"tip":"0123456789abcdef","run":"r","at":"2026-01-02T12:00:00Z"}}}`)
	f.Add(`{"tips":{"imgops-ledger":{"tip":""},"x":null}}`)
	f.Add(`{"tips":[]}`)
	f.Add(`{`)
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		for place, tip := range parseTips(value) {
			require.NotEmpty(t, tip.Tip, place)
		}
	})
}
