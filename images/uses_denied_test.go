package images_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
)

// denying is clients of which one account's may not make some calls.
type denying struct {
	*clients
	account string
	code    string
	calls   []string
}

func (d denying) EC2(ctx context.Context, loc images.Location) (*ec2.Client, error) {
	api, err := d.clients.EC2(ctx, loc)
	if err != nil || loc.Account != d.account {
		return api, err
	}
	return ec2.New(api.Options(), func(o *ec2.Options) {
		o.APIOptions = append(slices.Clone(o.APIOptions), func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("deny",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					if slices.Contains(d.calls, middleware.GetOperationName(ctx)) {
						return middleware.InitializeOutput{}, middleware.Metadata{}, &smithy.GenericAPIError{Code: d.code, Message: "You are not authorized to perform this operation."}
					}
					return next.HandleInitialize(ctx, in)
				}), middleware.Before)
		})
	}), nil
}

// TestCleanerMayNotAsk: an account of the fleet refuses the question what uses its images. Where it may be asked for its
// instances, those tell; where it may not, every image that it could use is kept, and gc says which account it is.
func TestCleanerMayNotAsk(t *testing.T) {
	c := newClients(t)
	used, free := c.register(t, web("used"), targetA, targetB), c.register(t, web("free"), targetA, targetB)
	c.register(t, web("newest"))
	api, err := c.EC2(t.Context(), targetB)
	require.NoError(t, err)
	out, err := api.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String(used.ID), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	require.NoError(t, ec2.NewInstanceRunningWaiter(api, func(o *ec2.InstanceRunningWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).
		Wait(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{*out.Instances[0].InstanceId}}, time.Minute))
	const told = "account 333333333333 may not be asked what uses images in us-east-1: what it could use is kept (it takes ec2:DescribeImageReferences or ec2:DescribeInstances)"
	for _, code := range []string{"UnauthorizedOperation", "AccessDenied"} {
		for name, k := range map[string]struct {
			calls []string
			goes  []string
			notes []string
		}{
			"all may be asked": {nil, []string{free.ID}, nil},
			"instances may":    {[]string{"DescribeImageReferences"}, []string{free.ID}, nil},
			"nothing may":      {[]string{"DescribeImageReferences", "DescribeInstances"}, []string{}, []string{told}},
		} {
			t.Run(code+", "+name, func(t *testing.T) {
				cleaner := c.cleaner(1)
				var notes []string
				cleaner.Clients, cleaner.Note = denying{c, targetB.Account, code, k.calls}, func(text string) { notes = append(notes, text) }
				require.Equal(t, k.goes, found(t, cleaner))
				require.Equal(t, k.notes, notes)
				if len(k.goes) > 0 {
					return
				}
				c.Forget(0)
				gone, err := cleaner.Clean(t.Context(), []images.Old{{Image: free, Location: buildAt, Role: "web", Action: images.CleanRemove}}, func() error { return nil }, nil)
				require.NoError(t, err)
				require.Empty(t, gone)
				require.Zero(t, c.Changes(), "not even one that somebody has listed before")
			})
		}
	}
}
