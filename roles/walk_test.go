package roles

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func chain() (base, web, shop, db *Role) {
	base = &Role{Name: "base"}
	web = &Role{Name: "web", Parent: base}
	return base, web, &Role{Name: "shop", Parent: web}, &Role{Name: "db", Parent: base}
}

func TestWalkVisitsParentsFirst(t *testing.T) {
	base, web, shop, db := chain()
	var mu sync.Mutex
	var order []string
	out := Walk(t.Context(), []*Role{base, db, web, shop}, 8, func(_ context.Context, r *Role) error {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.Name)
		return nil
	})
	require.Len(t, out, 4)
	at := func(name string) int { return slices.Index(order, name) }
	require.Less(t, at("base"), at("web"))
	require.Less(t, at("base"), at("db"))
	require.Less(t, at("web"), at("shop"))
}

func TestWalkStopsOnlyDescendants(t *testing.T) {
	base, web, shop, db := chain()
	boom := errors.New("boom")
	out := Walk(t.Context(), []*Role{base, db, web, shop}, 1, func(_ context.Context, r *Role) error {
		if r == web {
			return boom
		}
		return nil
	})
	require.NoError(t, out[0].Err)
	require.NoError(t, out[1].Err)
	require.Equal(t, boom, out[2].Err)
	var skipped *SkippedError
	require.ErrorAs(t, out[3].Err, &skipped)
	require.Equal(t, "skipped, because its parent web did not succeed", skipped.Error())
}

func TestWalkEndsWithItsContext(t *testing.T) {
	base, web, _, _ := chain()
	ctx, cancel := context.WithCancel(t.Context())
	out := Walk(ctx, []*Role{base, web}, 1, func(context.Context, *Role) error {
		cancel()
		return nil
	})
	require.NoError(t, out[0].Err)
	require.ErrorIs(t, out[1].Err, context.Canceled)
}

func TestWalkSiblingsRunAtOnce(t *testing.T) {
	a, b := &Role{Name: "a"}, &Role{Name: "b"}
	var both sync.WaitGroup
	both.Add(2)
	Walk(t.Context(), []*Role{a, b}, 2, func(context.Context, *Role) error {
		both.Done()
		both.Wait() // hangs unless the other one is being visited, too
		return nil
	})
}

func TestWalkKeepsTheLimit(t *testing.T) {
	var list []*Role
	for range 20 {
		list = append(list, &Role{})
	}
	var mu sync.Mutex
	busy, most, visits := 0, 0, 0
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		busy += n
		most = max(most, busy)
		visits++
	}
	out := Walk(t.Context(), list, 3, func(context.Context, *Role) error {
		count(1)
		runtime.Gosched()
		count(-1)
		return nil
	})
	require.Len(t, out, len(list))
	require.Equal(t, 2*len(list), visits)
	require.LessOrEqual(t, most, 3)
}

func TestWithAncestors(t *testing.T) {
	base, web, shop, db := chain()
	require.Equal(t, []*Role{base, web, shop, db}, WithAncestors([]*Role{shop, db, web}))
}
