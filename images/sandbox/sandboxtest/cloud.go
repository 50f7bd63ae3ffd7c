package sandboxtest

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/sandbox"
)

// The errors of clients that a test has broken.
var (
	ErrCut    = errors.New("the process was killed")
	ErrClosed = errors.New("the account is closed")
)

// Cloud is a sandbox without machines on loopback, and images.Clients of all its accounts. It ends with the test.
type Cloud struct {
	URL string
	Box *sandbox.Cloud

	mu       sync.Mutex
	ec2      map[images.Location]*ec2.Client
	ssm      map[images.Location]*ssm.Client
	closed   string
	calls    map[string]int
	changes  int
	cutAfter int
}

var _ images.Clients = (*Cloud)(nil)

// New starts a sandbox; change may set its options, but for the directory.
func New(t *testing.T, change ...func(*sandbox.Options)) *Cloud {
	t.Helper()
	opts := sandbox.Options{}
	for _, do := range change {
		do(&opts)
	}
	opts.Dir = t.TempDir()
	box, err := sandbox.New(t.Context(), opts)
	require.NoError(t, err)
	server := httptest.NewServer(box.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, box.Close())
	})
	return &Cloud{URL: server.URL, Box: box, calls: map[string]int{}, ec2: map[images.Location]*ec2.Client{}, ssm: map[images.Location]*ssm.Client{}}
}

// EC2 gives the client of a location, or ErrClosed.
func (c *Cloud) EC2(_ context.Context, loc images.Location) (*ec2.Client, error) {
	return client(c, c.ec2, loc, func(cfg aws.Config) *ec2.Client { return ec2.NewFromConfig(cfg) })
}

// SSM gives the client of a location, or ErrClosed.
func (c *Cloud) SSM(_ context.Context, loc images.Location) (*ssm.Client, error) {
	return client(c, c.ssm, loc, func(cfg aws.Config) *ssm.Client { return ssm.NewFromConfig(cfg) })
}

// client makes one client for each location.
func client[T any](c *Cloud, made map[images.Location]*T, loc images.Location, make func(aws.Config) *T) (*T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if loc.Account == c.closed {
		return nil, ErrClosed
	}
	if made[loc] == nil {
		made[loc] = make(aws.Config{
			HTTPClient: images.PlainBodies{HTTPClient: http.DefaultClient}, Region: loc.Region, BaseEndpoint: aws.String(c.URL),
			Credentials: credentials.NewStaticCredentialsProvider("SANDBOX"+loc.Account, "sandbox", ""),
			APIOptions:  []func(*middleware.Stack) error{c.watch},
		})
	}
	return made[loc], nil
}

// Close shuts an account: whoever asks for its clients gets ErrClosed. An empty account opens it again.
func (c *Cloud) Close(account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = account
}

// Forget starts a new count. After cutAfter changing calls, if it is not 0, all clients answer ErrCut, and that last call
// has taken effect; the next Forget ends it.
func (c *Cloud) Forget(cutAfter int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls, c.changes, c.cutAfter = map[string]int{}, 0, cutAfter
}

// Calls counts the calls since Forget, by name.
func (c *Cloud) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// Changes counts the calls since Forget that neither describe nor get.
func (c *Cloud) Changes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

func (c *Cloud) watch(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("watch",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if c.dead() {
				return middleware.InitializeOutput{}, middleware.Metadata{}, ErrCut
			}
			out, metadata, err := next.HandleInitialize(ctx, in)
			if c.count(middleware.GetOperationName(ctx)); err == nil && c.dead() {
				err = ErrCut
			}
			return out, metadata, err
		}), middleware.Before)
}

func (c *Cloud) dead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cutAfter > 0 && c.changes >= c.cutAfter
}

func (c *Cloud) count(op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[op]++
	if !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "Get") {
		c.changes++
	}
}
