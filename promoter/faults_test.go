package promoter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

func TestOneLocationFails(t *testing.T) {
	denied := &smithy.GenericAPIError{Code: "AccessDenied", Message: "no"}
	c := newCloud()
	c.seed(webImage())
	c.fault = func(op string, loc images.Location) error {
		if op == "PutParameter" && loc.Account == staging && loc.Region == west {
			return denied
		}
		return nil
	}
	result, err := promote(t, promoterOf(c), webRequest())
	require.ErrorIs(t, err, denied)
	var incomplete *IncompleteError
	require.ErrorAs(t, err, &incomplete)
	require.ErrorContains(t, err, "what was done is kept, and running it again finishes the rest:\n  web in 222222222222/eu-west-1: moving the pointer")
	require.Equal(t, "ami-1", c.pointer(staging, east, "web"))
	require.NotEmpty(t, c.pointer(production, west, "web"))
	require.Len(t, result.Left, 1)
	require.Equal(t, ActionPointer, result.Left[0].Action)

	c.fault = nil
	result, err = promote(t, promoterOf(c), webRequest())
	require.NoError(t, err)
	require.Equal(t, c.pointer(production, west, "web"), c.pointer(staging, west, "web"))
	require.Len(t, result.Done, 2, "the pointer, and the time of the promotion")
}

func TestACopyFails(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	// The first copy fails later, as one with a bad key does.
	c.fault = func(op string, _ images.Location) error {
		for id, f := range c.images {
			if id != "ami-1" && op == "DescribeImages" {
				f.ready = "failed"
			}
		}
		return nil
	}
	result, err := promote(t, promoterOf(c), webRequest())
	require.ErrorContains(t, err, "web in 222222222222/eu-west-1: image ami-c1 in 111111111111/eu-west-1 is failed: the key is disabled")
	require.ErrorContains(t, err, "web in 333333333333/eu-west-1: ")
	require.NotContains(t, err.Error(), "222222222222/us-east-1")
	require.Empty(t, c.pointer(staging, west, "web"))
	require.Equal(t, "ami-1", c.pointer(staging, east, "web"), "the other Region is served")
	at := slices.IndexFunc(result.Left, func(l Left) bool { return l.Action == ActionCopy })
	require.Equal(t, "ami-c1", result.Left[at].Image, "the id of what was made is not lost")

	c.fault = nil
	_, err = promote(t, promoterOf(c), webRequest())
	require.NoError(t, err)
	require.Equal(t, "ami-c2", c.pointer(staging, west, "web"), "the client token does not lead back to the failed copy")
}

func TestTheTokenOfACopyThatIsGone(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	c.cutAfter = 1
	p := promoterOf(c, func(o *Options) { o.Parallel, o.Patience = 1, time.Millisecond })
	_, err := promote(t, p, webRequest())
	require.ErrorIs(t, err, errCut)
	require.Contains(t, c.images, "ami-c1")
	delete(c.images, "ami-c1")
	c.cut, c.cutAfter = false, -1
	_, err = promote(t, p, webRequest())
	require.NoError(t, err)
	require.Equal(t, "ami-c2", c.pointer(staging, west, "web"))
}

// TestOutOfSight has an account that does not see what is shared with it (its Allowed AMIs settings leave us out).
func TestOutOfSight(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	c.fault = func(op string, loc images.Location) error {
		if f := c.images["ami-1"]; op == "DescribeImages" || op == "PutParameter" {
			f.users = slices.DeleteFunc(f.users, func(u string) bool { return u == staging })
		}
		return nil
	}
	p := promoterOf(c, func(o *Options) { o.Patience = time.Millisecond })
	_, err := promote(t, p, webRequest())
	require.ErrorIs(t, err, images.ErrNotFound)
	require.ErrorContains(t, err, "web in 222222222222/us-east-1: image not found: account 222222222222 does not see ami-1 in us-east-1, though it is shared")
	require.Empty(t, c.pointer(staging, east, "web"))
	for _, call := range c.mutations() {
		require.NotEqual(t, "PutParameter 222222222222/us-east-1", call, "a pointer never moves to what was not seen")
	}
	require.Equal(t, "ami-1", c.pointer(production, east, "web"))
}

func TestAWaitForASlot(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	full := 2
	c.fault = func(op string, _ images.Location) error {
		if op == "CopyImage" && full > 0 {
			full--
			return &smithy.GenericAPIError{Code: "ResourceLimitExceeded", Message: "too many copies"}
		}
		return nil
	}
	_, err := promote(t, promoterOf(c), webRequest())
	require.NoError(t, err)
}

func TestUnknownForAMoment(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	seen := map[string]bool{}
	c.fault = func(op string, loc images.Location) error {
		if key := op + loc.String(); strings.HasPrefix(op, "Modify") && !seen[key] {
			seen[key] = true
			return &smithy.GenericAPIError{Code: "InvalidAMIID.NotFound", Message: "not yet"}
		}
		return nil
	}
	_, err := promote(t, promoterOf(c), webRequest())
	require.NoError(t, err)
}

func TestInterruptedByTheUser(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	ctx, cancel := context.WithCancel(t.Context())
	p := promoterOf(c)
	plan, err := p.Plan(ctx, []Request{webRequest()}, nil)
	require.NoError(t, err)
	result, err := p.Apply(ctx, plan, func(step, _ string) {
		if strings.HasPrefix(step, "web: wait for") {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, c.pointer(production, east, "web"))
	require.Len(t, plan.Roles[0].Steps, len(result.Done)+len(result.Left), "every step is accounted for")
}

func TestWithdrawn(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	_, err := promote(t, promoterOf(c), webRequest())
	require.NoError(t, err)
	less := webRequest()
	less.Targets[0].Accounts = []string{production}
	p := promoterOf(c, func(o *Options) { o.Accounts = []string{production} })
	_, err = promote(t, p, less)
	require.NoError(t, err)
	for _, id := range []string{"ami-1", c.pointer(production, west, "web")} {
		require.Equal(t, []string{production}, c.images[id].users)
		require.Equal(t, []string{production}, c.images[id].copyUsers)
	}
}

func TestALocationThatCannotBeReadChangesNothing(t *testing.T) {
	c := newCloud()
	c.seed(webImage())
	broken := errors.New("expired token")
	c.fault = func(op string, loc images.Location) error {
		if loc.Account == production {
			return broken
		}
		return nil
	}
	_, err := promote(t, promoterOf(c), webRequest())
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "333333333333/eu-west-1")
	require.ErrorContains(t, err, "333333333333/us-east-1")
	require.Empty(t, c.mutations())
}
