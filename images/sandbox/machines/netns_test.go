package machines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A thread that did not come back would be kept in the other namespace if it were the process's first one, by whose network /proc/net is read. So many
// threads are there at once that the first one is among them.
func TestThreadsComeBackFromANetns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("joining a network namespace needs root")
	}
	name := fmt.Sprintf("imgops-test-%d", os.Getpid())
	require.NoError(t, run(t.Context(), "", "ip", "netns", "add", name))
	t.Cleanup(func() { require.NoError(t, run(context.WithoutCancel(t.Context()), "", "ip", "netns", "delete", name)) })
	own, err := os.Readlink("/proc/thread-self/ns/net")
	require.NoError(t, err)

	var inside, done sync.WaitGroup
	there := make([]string, 32)
	inside.Add(len(there))
	for i := range there {
		done.Go(func() {
			err := inNetns(netnsPath(name), func() (err error) {
				inside.Done()
				inside.Wait()
				there[i], err = os.Readlink("/proc/thread-self/ns/net")
				return err
			})
			require.NoError(t, err)
		})
	}
	done.Wait()
	for _, ns := range there {
		require.NotEqual(t, own, ns)
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, thread := range threads {
		if ns, err := os.Readlink(thread); err == nil { // else it has ended
			require.Equal(t, own, ns, strings.TrimPrefix(thread, "/proc/self/"))
		}
	}
	require.ErrorIs(t, inNetns("/no/such", func() error { return nil }), unix.ENOENT)
}
