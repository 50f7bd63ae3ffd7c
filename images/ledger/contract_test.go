package ledger_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func about(role, image string) ledger.About {
	return ledger.About{Fleet: "acme", Role: role, Digest: digest, Image: image, Account: "111111111111", Region: "us-east-1"}
}

func event(t *testing.T, role, action, reason string, at time.Time) ledger.Entry {
	t.Helper()
	e, err := ledger.Event{Fleet: "acme", Role: role, Action: action, Reason: reason, At: at, Image: "ami-1", Digest: digest}.Entry()
	require.NoError(t, err)
	return e
}

func paths(t *testing.T, s ledger.Store, prefix string) []string {
	t.Helper()
	items, err := s.List(t.Context(), prefix)
	require.NoError(t, err)
	list := []string{}
	for _, i := range items {
		list = append(list, i.Path)
	}
	return list
}

// testStore is what every Store has to do. open gives another writer of the same ledger each time.
func testStore(t *testing.T, open func(t *testing.T) ledger.Store) {
	ctx := t.Context()
	s := open(t)
	one, two := event(t, "web", "promote", "one", noon), event(t, "web", "rollback", "two", noon.Add(time.Second))

	t.Run("an empty ledger", func(t *testing.T) {
		require.NoError(t, s.Sync(ctx))
		require.NoError(t, s.Ready(ctx))
		require.Empty(t, paths(t, s, ""))
		_, err := s.Read(ctx, one.Path)
		require.ErrorIs(t, err, ledger.ErrNoEntry)
	})
	t.Run("what is appended is there, for others too", func(t *testing.T) {
		require.NoError(t, s.Append(ctx, "one", []ledger.Entry{one}))
		require.NoError(t, s.Append(ctx, "two", []ledger.Entry{two, event(t, "db", "hold", "x", noon)}))
		for _, reader := range []ledger.Store{s, open(t)} {
			require.NoError(t, reader.Sync(ctx))
			require.Len(t, paths(t, reader, ""), 3)
			require.Equal(t, []string{one.Path, two.Path}, paths(t, reader, "events/web/"))
			data, err := reader.Read(ctx, one.Path)
			require.NoError(t, err)
			require.Equal(t, string(one.Data), string(data))
			items, err := reader.List(ctx, two.Path)
			require.NoError(t, err)
			require.Equal(t, []ledger.Item{{Path: two.Path, Size: int64(len(two.Data))}}, items)
		}
	})
	t.Run("the same again changes nothing", func(t *testing.T) {
		require.NoError(t, s.Append(ctx, "one", []ledger.Entry{one}))
		require.NoError(t, open(t).Append(ctx, "one", []ledger.Entry{one}))
		require.Len(t, paths(t, s, ""), 3)
	})
	t.Run("nothing is ever changed", func(t *testing.T) {
		for _, writer := range []ledger.Store{s, open(t)} {
			var conflict *ledger.ConflictError
			require.ErrorAs(t, writer.Append(ctx, "x", []ledger.Entry{{Path: one.Path, Data: []byte("{}\n")}}), &conflict)
			require.Contains(t, conflict.Path, one.Path[len("events/web/"):])
			data, err := writer.Read(ctx, one.Path)
			require.NoError(t, err)
			require.Equal(t, string(one.Data), string(data))
		}
	})
	t.Run("only entries are taken", func(t *testing.T) {
		for _, path := range []string{"README.md", "../x", "events/web/x.json", "images/web/x", "", "events/../events/web/" + filepath.Base(one.Path)} {
			require.Error(t, s.Append(ctx, "x", []ledger.Entry{{Path: path, Data: []byte("{}")}}), path)
		}
		require.Len(t, paths(t, s, ""), 3)
	})
	t.Run("writers at once", func(t *testing.T) {
		const writers, each = 8, 1
		var all sync.WaitGroup
		errs := make([]error, writers)
		for w := range writers {
			own := open(t)
			var entries []ledger.Entry
			for n := range each {
				entries = append(entries, event(t, fmt.Sprintf("role-%d", w), "promote", fmt.Sprint(n), noon.Add(time.Duration(n)*time.Second)))
			}
			all.Go(func() {
				for _, e := range entries {
					if err := own.Append(context.WithoutCancel(ctx), "race", []ledger.Entry{e}); err != nil {
						errs[w] = err
					}
				}
			})
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		reader := open(t)
		require.NoError(t, reader.Sync(ctx))
		require.Len(t, paths(t, reader, ""), 3+writers*each)
		require.Len(t, paths(t, reader, "events/role-7/"), each)
	})
}
