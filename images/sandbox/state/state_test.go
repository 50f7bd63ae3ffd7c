package state

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

type row struct {
	Owner string
	Users []string
	N     int
}

func open(t *testing.T, path string) (*Store, *Table[row]) {
	t.Helper()
	s, err := Open(path)
	require.NoError(t, err)
	table, err := NewTable(s, "rows", func(r row) []string { return append([]string{r.Owner}, r.Users...) })
	require.NoError(t, err)
	return s, table
}

func keys(t *testing.T, s *Store, table *Table[row], entry string) []string {
	t.Helper()
	var out []string
	require.NoError(t, s.View(func(tx *Tx) error {
		out = slices.Sorted(maps.Keys(maps.Collect(table.Scan(tx, entry))))
		return nil
	}))
	return out
}

func TestUpdateIsAllOrNothingAndDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, table := open(t, path)
	require.NoError(t, s.Update(func(tx *Tx) error {
		table.Put(tx, "a", row{Owner: "x", Users: []string{"y"}})
		table.Put(tx, "b", row{Owner: "x"})
		got, ok := table.Get(tx, "a")
		require.True(t, ok, "a transaction sees its own writes")
		require.Equal(t, "x", got.Owner)
		return nil
	}))
	require.Error(t, s.Update(func(tx *Tx) error {
		table.Delete(tx, "a")
		table.Put(tx, "c", row{Owner: "x"})
		return errors.New("refused")
	}))
	require.Equal(t, []string{"a", "b"}, keys(t, s, table, "x"))
	require.Equal(t, []string{"a"}, keys(t, s, table, "y"))

	require.NoError(t, s.Update(func(tx *Tx) error {
		table.Put(tx, "a", row{Owner: "x", N: 2}) // drops the index entry y
		table.Delete(tx, "b")
		require.Equal(t, 1, len(maps.Collect(table.All(tx))))
		return nil
	}))
	require.NoError(t, s.Close())

	s, table = open(t, path)
	require.Equal(t, []string{"a"}, keys(t, s, table, "x"))
	require.Empty(t, keys(t, s, table, "y"))
	require.NoError(t, s.View(func(tx *Tx) error {
		got, ok := table.Get(tx, "a")
		require.True(t, ok)
		require.Equal(t, 2, got.N)
		return nil
	}))
	require.NoError(t, s.Close())
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s, _ := open(t, path)
	_, err := Open(path)
	require.ErrorContains(t, err, "another sandbox process")
	require.NoError(t, s.Close())
}
