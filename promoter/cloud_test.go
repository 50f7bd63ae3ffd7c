package promoter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/imgops/imgops/images"
)

// cloud is an EC2 and SSM in memory, behind the real clients: a middleware answers each call before it is sent. It
// keeps the rules that a promotion can break: who sees an image, who may copy it, whose tags are whose, client
// tokens, images that are pending at first, and values of aws:ec2:image that are dropped after the answer.
type cloud struct {
	mu       sync.Mutex
	images   map[string]*fakeImage
	params   map[images.Location]map[string]ssmtypes.Parameter
	tokens   map[string]string // the image that a client token led to
	history  map[string][]ssmtypes.ParameterHistory
	requests map[string]string // the request that a client token came with
	calls    []string          // "CopyImage 111111111111/eu-west-1"
	copies   int
	made     int
	cutAfter int // the process dies with the answer of this mutating call; negative: never
	cut      bool
	fault    func(op string, loc images.Location) error // before the call
}

type fakeImage struct {
	ec2types.Image
	region    string
	tags      map[string]map[string]string // by account
	users     []string
	copyUsers []string
	looks     int // how often it was described: pending the first time
	ready     ec2types.ImageState
}

var errCut = errors.New("the process was killed")

func newCloud() *cloud {
	c := &cloud{images: map[string]*fakeImage{}, params: map[images.Location]map[string]ssmtypes.Parameter{}, tokens: map[string]string{}, requests: map[string]string{}, history: map[string][]ssmtypes.ParameterHistory{}, cutAfter: -1}
	return c
}

// seed adds an available image of the build account.
func (c *cloud) seed(img images.Image) {
	f := c.add(buildAt, img.ID, img.Name, "", "")
	f.looks, f.tags[buildAccount] = 1, img.Tags
}

func (c *cloud) add(loc images.Location, id, name, source, sourceRegion string) *fakeImage {
	f := &fakeImage{region: loc.Region, tags: map[string]map[string]string{loc.Account: {}}, ready: "available", Image: ec2types.Image{
		ImageId: aws.String(id), Name: aws.String(name), OwnerId: aws.String(loc.Account), RootDeviceName: aws.String("/dev/xvda"),
		CreationDate: aws.String(time.Date(2026, 1, 1, 0, 0, len(c.images), 0, time.UTC).Format(time.RFC3339)),
	}}
	if source != "" {
		f.SourceImageId, f.SourceImageRegion = aws.String(source), aws.String(sourceRegion)
	}
	c.images[id] = f
	return f
}

func (c *cloud) EC2(_ context.Context, loc images.Location) (*ec2.Client, error) {
	return ec2.New(ec2.Options{Region: loc.Region, APIOptions: []func(*middleware.Stack) error{c.middleware(loc)}}), nil
}

func (c *cloud) SSM(_ context.Context, loc images.Location) (*ssm.Client, error) {
	return ssm.New(ssm.Options{Region: loc.Region, APIOptions: []func(*middleware.Stack) error{c.middleware(loc)}}), nil
}

func (c *cloud) middleware(loc images.Location) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("cloud",
			func(ctx context.Context, in middleware.InitializeInput, _ middleware.InitializeHandler) (out middleware.InitializeOutput, _ middleware.Metadata, err error) {
				out.Result, err = c.serve(loc, middleware.GetOperationName(ctx), in.Parameters)
				return out, middleware.Metadata{}, err
			}), middleware.After)
	}
}

func (c *cloud) serve(loc images.Location, op string, in any) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut || c.cutAfter == 0 {
		return nil, errCut
	}
	c.calls = append(c.calls, op+" "+loc.String())
	if c.fault != nil {
		if err := c.fault(op, loc); err != nil {
			return nil, err
		}
	}
	out, err := c.answer(loc, in)
	if mutating(op) && err == nil {
		if c.made++; c.made == c.cutAfter {
			c.cut = true
			return nil, errCut
		}
	}
	return out, err
}

func mutating(op string) bool {
	return !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "Get")
}

// mutations lists the mutating calls so far.
func (c *cloud) mutations() []string {
	return slices.DeleteFunc(slices.Clone(c.calls), func(call string) bool { return !mutating(call) })
}

func (c *cloud) answer(loc images.Location, in any) (any, error) {
	switch in := in.(type) {
	case *ec2.DescribeImagesInput:
		return c.describe(loc, in), nil
	case *ec2.CopyImageInput:
		return c.copy(loc, in)
	case *ec2.CreateTagsInput:
		return &ec2.CreateTagsOutput{}, c.tag(loc, in.Resources, in.Tags, false)
	case *ec2.DeleteTagsInput:
		return &ec2.DeleteTagsOutput{}, c.tag(loc, in.Resources, in.Tags, true)
	case *ec2.DescribeImageAttributeInput:
		out := &ec2.DescribeImageAttributeOutput{}
		f, err := c.mine(loc, *in.ImageId)
		if err != nil {
			return nil, err
		}
		for _, u := range f.users {
			out.LaunchPermissions = append(out.LaunchPermissions, ec2types.LaunchPermission{UserId: aws.String(u)})
		}
		return out, nil
	case *ec2.ModifyImageAttributeInput:
		return c.launchPermission(loc, in)
	case *ec2.ModifySnapshotAttributeInput:
		return c.copyPermission(loc, in)
	}
	return c.answerSSM(loc, in)
}

// promote plans and applies.
func promote(t *testing.T, p *Promoter, reqs ...Request) (Result, error) {
	t.Helper()
	plan, err := p.Plan(t.Context(), reqs, nil)
	if err != nil {
		return Result{}, err
	}
	return p.Apply(t.Context(), plan, nil)
}
