package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	awsmw "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// callCounter counts the API requests of a run by name, retries included: how gentle imgops is to an account's
// request buckets is a figure that --debug shows.
type callCounter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *callCounter) middleware(stack *middleware.Stack) error {
	return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("ImgopsCountCalls",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			c.add(strings.ToLower(awsmw.GetServiceID(ctx)) + ":" + awsmw.GetOperationName(ctx))
			return next.HandleFinalize(ctx, in)
		}), middleware.After)
}

func (c *callCounter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
}

// printCalls writes the count to standard error when --debug is given.
func (a *app) printCalls() {
	if !a.set.Debug {
		return
	}
	a.calls.mu.Lock()
	defer a.calls.mu.Unlock()
	total := 0
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(a.calls.n)) {
		total += a.calls.n[name]
		parts = append(parts, fmt.Sprintf("%s %d", name, a.calls.n[name]))
	}
	fmt.Fprintf(a.Stderr, "api calls: %d (%s)\n", total, strings.Join(parts, ", "))
}
