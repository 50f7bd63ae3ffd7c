package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
)

// EC2API is what a build needs of EC2.
type EC2API interface {
	machine.EC2API
	images.EC2API
	ec2.DescribeSnapshotsAPIClient
	CreateImage(context.Context, *ec2.CreateImageInput, ...func(*ec2.Options)) (*ec2.CreateImageOutput, error)
	DeregisterImage(context.Context, *ec2.DeregisterImageInput, ...func(*ec2.Options)) (*ec2.DeregisterImageOutput, error)
	DeleteSnapshot(context.Context, *ec2.DeleteSnapshotInput, ...func(*ec2.Options)) (*ec2.DeleteSnapshotOutput, error)
}

// Builder builds images. It is safe for concurrent use.
type Builder struct {
	ec2 func(context.Context, images.Location) (EC2API, error)
	via machine.Dialer // nil: directly
	now func() time.Time
}

// New makes a builder with the clients of the build account.
func New(clients images.Clients) *Builder {
	return &Builder{now: time.Now, ec2: func(ctx context.Context, loc images.Location) (EC2API, error) {
		api, err := clients.EC2(ctx, loc)
		if err != nil {
			return nil, fmt.Errorf("connecting to EC2 of %s: %w", loc, err)
		}
		return api, nil
	}}
}

// Request says what is built, from what and where.
type Request struct {
	Fleet    *roles.Fleet // Config.Build gives the machine's subnet and who may reach it
	Role     *roles.Role  // resolved
	Base     images.Image // as the build account sees it
	Location images.Location
	Run      string // id of this run of imgops: the same run builds a role once
	Commit   string // with images.DirtySuffix when the tree is dirty
	Branch   string
	WorkDir  string // of this run and role: the recipe, the machine's keys and the logs
	Progress images.Progress
	Log      io.Writer // what the provisioners write, as it comes; nil: only the files in WorkDir
	// Inventory is told what the image holds, or why that is not known; nil: nobody looks. It is not called for an image that
	// an earlier try of the run made, and what it is told of is no image yet: the build may still fail.
	Inventory func(images.Image, ledger.Inventory, error)
}

// expiryMargin is how much longer a machine lives than its bake may take: time for the undoing, and for gc.
const expiryMargin = 15 * time.Minute

// Build makes the image and waits until it is available. An image that this run already made of the same digest is
// returned, or waited for, without a build. When everything went well but something temporary could not be removed,
// the image is returned together with a *machine.LeftoverError.
func (b *Builder) Build(ctx context.Context, req Request) (images.Image, error) {
	limit := time.Duration(req.Role.Build.Timeout)
	limit = cmp.Or(limit, time.Hour)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the bake took longer than build.timeout (%s)", limit))
	defer cancel()
	img, err := b.build(ctx, req, limit)
	if err != nil {
		return img, fmt.Errorf("building role %s: %w", req.Role.Name, err)
	}
	return img, nil
}

func (b *Builder) build(ctx context.Context, req Request, limit time.Duration) (images.Image, error) {
	api, err := b.ec2(ctx, req.Location)
	if err != nil {
		return images.Image{}, err
	}
	k, err := b.newBake(api, req, limit)
	if err != nil {
		return images.Image{}, err
	}
	if img, err := k.findFinished(ctx); err != nil || img.ID != "" {
		return img, err
	}
	err = machine.RunSteps(ctx, machine.NewState(req.Progress, req.Run), k.steps()...)
	if err == nil || onlyLeftovers(err) {
		return k.image, err
	}
	return images.Image{}, err
}

func onlyLeftovers(err error) bool {
	_, is := err.(*machine.LeftoverError) //nolint:errorlint // joined with another error it means a failure
	return is
}

// bake is one build: what the steps share.
type bake struct {
	req      Request
	api      EC2API
	images   *images.Catalogue
	machine  *machine.Machine
	fleetDir string // the recipe's files, as they lie in the fleet
	uploaded bool   // and they are on the machine
	want     images.Image
	image    images.Image // the result
	asked    bool         // CreateImage was sent and may have taken effect
	listing  func() (ledger.Inventory, error)
}

func (b *Builder) newBake(api EC2API, req Request, limit time.Duration) (*bake, error) {
	if req.Run == "" || req.WorkDir == "" || req.Role.Digest == "" || req.Base.ID == "" {
		return nil, errors.New("a run id, a working directory, a resolved digest and a base image are needed")
	}
	work, err := filepath.Abs(req.WorkDir)
	if err != nil {
		return nil, fmt.Errorf("finding the working directory: %w", err)
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, fmt.Errorf("making the working directory: %w", err)
	}
	req.WorkDir = work
	launcher := machine.NewLauncher(api)
	if b.via != nil {
		launcher = launcher.Via(b.via)
	}
	set, place, fleet := req.Role.Build, req.Fleet.Config.Build, req.Fleet.Config.Fleet
	return &bake{
		req: req, api: api, images: images.NewCatalogue(req.Location, api), fleetDir: filepath.Join(work, "fleet"),
		machine: launcher.Machine(machine.Spec{
			Location: req.Location, Image: req.Base, Purpose: "build", Fleet: fleet, Role: req.Role.Name, Run: req.Run,
			InstanceTypes: set.InstanceTypes, DiskGiB: set.DiskGiB, SSHUser: cmp.Or(set.SSHUser, "admin"), SSHCIDR: place.SSHCIDR,
			SubnetID: place.SubnetID, Lifetime: limit + expiryMargin, WorkDir: filepath.Join(work, "machine"),
		}),
		want: images.Image{
			Name: imageName(fleet, req.Role.Name, req.Role.Digest, req.Run), Fleet: fleet, Role: req.Role.Name,
			Digest: req.Role.Digest, Commit: req.Commit, Branch: req.Branch, Base: req.Base.ID, Run: req.Run, BuiltAt: b.now(),
		},
	}, nil
}

// say tells the person who waits.
func (k *bake) say(step, waitingFor string) { k.req.Progress.Say(step, waitingFor) }
