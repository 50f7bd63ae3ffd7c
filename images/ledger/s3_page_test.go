package ledger

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func somePage() page {
	sum := strings.Repeat("ab", 32)
	return page{Number: 6, After: 4, AfterID: sum, Entries: []logged{
		{Path: "images/web/" + sum + "/ami-1/image.json", Sum: sum, ETag: `"x"`},
		{Path: "events/web/20260102T120000.000Z-hold-000000000000.json", Sum: sum},
	}}
}

func TestPage(t *testing.T) {
	data, err := somePage().encode()
	require.NoError(t, err)
	p, err := readPage(6, data)
	require.NoError(t, err)
	require.Equal(t, "events/web/20260102T120000.000Z-hold-000000000000.json", p.Entries[0].Path, "they are sorted")
	again, err := p.encode()
	require.NoError(t, err)
	require.Equal(t, string(data), string(again))
	for name, c := range map[string]struct{ old, now, says string }{
		"another number":       {`"number":6`, `"number":7`, "no page 6"},
		"no schema":            {`"schema":1`, `"schema":0`, "no page 6"},
		"another kind":         {`"kind":"log"`, `"kind":"event"`, "no page 6"},
		"a newer schema":       {`"schema":1`, `"schema":2`, "update imgops"},
		"goes on at itself":    {`"after":4`, `"after":6`, "goes on at page 6"},
		"goes on before 0":     {`"after":4`, `"after":-1`, "goes on at page -1"},
		"begins, with a sum":   {`"after":4`, `"after":0`, "goes on at page 0"},
		"a file that is none":  {"events/web", "elsewhere", "which is no entry"},
		"a sum that is none":   {`"sum":"abab`, `"sum":"zzab`, "which is no entry"},
		"cut off":              {"}\n]\n}", "", "not the JSON"},
		"a conflict":           {`{`, "<<<<<<< ours\n{", "not the JSON"},
		"an after sum of none": {`"after_sum":"ab`, `"after_sum":"`, "goes on at page 4"},
	} {
		spoilt := strings.Replace(string(data), c.old, c.now, 1)
		if name == "cut off" {
			spoilt = string(data[:len(data)/2])
		}
		_, err := readPage(6, []byte(spoilt))
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestPosition(t *testing.T) {
	p := position{12, strings.Repeat("0", 64)}
	back, err := parsePosition(p.String())
	require.NoError(t, err)
	require.Equal(t, p, back)
	require.Empty(t, position{}.String())
	for _, tip := range []string{"", "12", "0:" + p.sum, "12:00", strings.Repeat("9", 30) + ":" + p.sum, strings.Repeat("a", 40)} {
		_, err := parsePosition(tip)
		require.Error(t, err, tip)
	}
	require.Equal(t, 12, pageOf(pagePath(12)))
	for _, path := range []string{"log/12.json", "log/00000000000012.json", "log/0000000000.json", "log/x.json", "events/0000000012.json", "log/notes.txt"} {
		require.Zero(t, pageOf(path), path)
	}
}

// FuzzPage feeds the reader what anybody with access to the bucket could write. What it takes, it writes again as it was read.
func FuzzPage(f *testing.F) {
	data, err := somePage().encode()
	require.NoError(f, err)
	f.Add(6, data)
	f.Add(6, data[:len(data)/2])
	f.Add(1, []byte(`{"schema":1,"kind":"log","number":1,"after":0,"entries":null}`))
	f.Add(1, []byte(`{"schema":9,"kind":"log","number":1}`))
	f.Fuzz(func(t *testing.T, number int, data []byte) {
		p, err := readPage(number, data)
		if err != nil {
			return
		}
		require.Less(t, p.After, p.Number)
		written, err := p.encode()
		require.NoError(t, err)
		again, err := readPage(number, written)
		require.NoError(t, err)
		twice, err := again.encode()
		require.NoError(t, err)
		require.Equal(t, string(written), string(twice))
	})
}
