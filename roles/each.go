package roles

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// batch is how many roles a goroutine takes at a time.
const batch = 8

// each runs do for 0..n-1 in as many goroutines as there are processors, in batches where the work is small. They are
// few and live long, since the stack of each has to grow.
func each(ctx context.Context, n, batch int, do func(i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var taken atomic.Int64
	for range min(runtime.GOMAXPROCS(0), (n+batch-1)/batch) {
		g.Go(func() error {
			for {
				end := int(taken.Add(int64(batch)))
				for i := end - batch; i < min(end, n); i++ {
					if err := ctx.Err(); err != nil {
						return err
					}
					if err := do(i); err != nil {
						return err
					}
				}
				if end >= n {
					return nil
				}
			}
		})
	}
	return g.Wait()
}
