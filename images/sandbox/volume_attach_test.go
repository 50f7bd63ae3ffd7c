package sandbox_test

import (
	"context"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
	"github.com/imgops/imgops/images/sandbox/machines"
)

func (w *world) emptyVolume(c *ec2.Client, zone string) string {
	w.t.Helper()
	v, err := c.CreateVolume(w.ctx, &ec2.CreateVolumeInput{AvailabilityZone: &zone, Size: aws.Int32(1)})
	require.NoError(w.t, err)
	require.Equal(w.t, types.VolumeStateCreating, v.State)
	w.awaitVolume(c, *v.VolumeId, types.VolumeStateAvailable)
	return *v.VolumeId
}

func (w *world) awaitVolume(c *ec2.Client, id string, state types.VolumeState) (v types.Volume) {
	w.t.Helper()
	w.await(func() bool { v = w.volumes(c)[id]; return v.State == state })
	return v
}

func (w *world) attach(c *ec2.Client, volume, instance, device string) (types.VolumeAttachmentState, string) {
	out, err := c.AttachVolume(w.ctx, &ec2.AttachVolumeInput{VolumeId: &volume, InstanceId: &instance, Device: &device})
	if err != nil {
		return "", code(err)
	}
	return out.State, ""
}

func (w *world) detach(c *ec2.Client, in ec2.DetachVolumeInput) (types.VolumeAttachmentState, string) {
	out, err := c.DetachVolume(w.ctx, &in)
	if err != nil {
		return "", code(err)
	}
	return out.State, ""
}

// Volumes come and go while an instance runs and while it is stopped: API_AttachVolume.html, API_DetachVolume.html, and the codes of
// errors-overview.html.
func TestAttachVolume(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, nil)
	id, root, zone := *i.InstanceId, *i.BlockDeviceMappings[0].Ebs.VolumeId, *i.Placement.AvailabilityZone
	one, two := w.emptyVolume(c, zone), w.emptyVolume(c, zone)
	refused := func(want, volume, instance, device string) {
		t.Helper()
		_, failed := w.attach(c, volume, instance, device)
		require.Equal(t, want, failed)
	}
	refused("InvalidVolume.NotFound", "vol-00000000000000001", id, "/dev/sdf")
	refused("InvalidInstanceID.NotFound", one, "i-00000000000000001", "/dev/sdf")
	refused("InvalidParameterValue", one, id, "/dev/nvme1n1")
	refused("InvalidParameterValue", one, id, "/dev/xvda")
	refused("InvalidVolume.ZoneMismatch", w.emptyVolume(c, home+"f"), id, "/dev/sdf")

	state, failed := w.attach(c, one, id, "/dev/sdf")
	require.Equal(t, []any{types.VolumeAttachmentStateAttaching, ""}, []any{state, failed}, "it runs")
	w.await(func() bool { return w.volumes(c)[one].Attachments[0].State == types.VolumeAttachmentStateAttached })
	refused("VolumeInUse", one, id, "/dev/sdg")
	refused("InvalidParameterValue", two, id, "/dev/xvdf") // Linux's name of /dev/sdf
	_, err := c.DeleteVolume(w.ctx, &ec2.DeleteVolumeInput{VolumeId: &one})
	require.Equal(t, "VolumeInUse", code(err))
	require.False(t, *devicesOf(w.instance(c, id))["/dev/sdf"].DeleteOnTermination)

	_, err = c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
	w.awaitInstance(c, id, types.InstanceStateNameStopped)
	state, failed = w.attach(c, two, id, "/dev/sdg")
	require.Equal(t, []any{types.VolumeAttachmentStateAttached, ""}, []any{state, failed}, "it is stopped")
	require.Len(t, devicesOf(w.instance(c, id)), 3)

	for want, in := range map[string]ec2.DetachVolumeInput{
		"InvalidAttachment.NotFound": {VolumeId: &one, Device: aws.String("/dev/sdx")},
		"OperationNotPermitted":      {VolumeId: &root},
		"InvalidVolume.NotFound":     {VolumeId: aws.String("vol-00000000000000001")},
	} {
		_, failed := w.detach(c, in)
		require.Equal(t, want, failed)
	}
	state, failed = w.detach(c, ec2.DetachVolumeInput{VolumeId: &two, InstanceId: &id, Device: aws.String("/dev/sdg")})
	require.Equal(t, []any{types.VolumeAttachmentStateDetaching, ""}, []any{state, failed})
	w.awaitVolume(c, two, types.VolumeStateAvailable)
	_, failed = w.detach(c, ec2.DetachVolumeInput{VolumeId: &two})
	require.Equal(t, "IncorrectState", failed)

	_, err = c.StartInstances(w.ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
	w.awaitInstance(c, id, types.InstanceStateNameRunning)
	_, failed = w.detach(c, ec2.DetachVolumeInput{VolumeId: &one})
	require.Empty(t, failed)
	require.Empty(t, w.awaitVolume(c, one, types.VolumeStateAvailable).Attachments)
	w.terminate(c, id)
	refused("IncorrectState", one, id, "/dev/sdf")
	_, err = c.DeleteVolume(w.ctx, &ec2.DeleteVolumeInput{VolumeId: &one})
	require.NoError(t, err)
	w.await(func() bool { _, there := w.volumes(c)[one]; return !there })
}

// plugMachines are machines whose volumes can be in use until they boot again, or hang on their way.
type plugMachines struct {
	*fakeMachines
	hang bool
	mu   sync.Mutex
	uses map[string]bool // by the machine's id
}

func newPlugMachines() *plugMachines {
	return &plugMachines{fakeMachines: newFakeMachines(), uses: map[string]bool{}}
}

func (p *plugMachines) use(id string, uses bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses[id] = uses
}

func (p *plugMachines) Attach(ctx context.Context, _ string, _ machines.Volume) error {
	if p.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (p *plugMachines) Detach(_ context.Context, id, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uses[id] {
		return machines.ErrBusy
	}
	return nil
}

func (p *plugMachines) Start(ctx context.Context, m machines.Machine) error {
	p.use(m.ID, false)
	return p.fakeMachines.Start(ctx, m)
}

func (p *plugMachines) Reboot(ctx context.Context, id string) error {
	p.use(id, false)
	return p.fakeMachines.Reboot(ctx, id)
}

// A volume that a machine has mounted is busy "until you unmount the volume, force detachment, reboot the instance, or all three"
// (API_DetachVolume.html), and until the instance stops.
func TestBusyVolume(t *testing.T) {
	driver := newPlugMachines()
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: driver, Disks: newFakeDisks()})
	c := w.ec2(build, home)
	for name, leave := range map[string]func(id string) error{
		"umount": func(id string) error { driver.use(id, false); return nil },
		"reboot": func(id string) error {
			_, err := c.RebootInstances(w.ctx, &ec2.RebootInstancesInput{InstanceIds: []string{id}})
			return err
		},
		"CreateImage": func(id string) error {
			_, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: &id, Name: aws.String("web")})
			return err
		},
		"stop": func(id string) error {
			_, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
			return err
		},
		"terminate": func(id string) error {
			_, err := c.ModifyInstanceAttribute(w.ctx, &ec2.ModifyInstanceAttributeInput{InstanceId: &id, BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{
				{DeviceName: aws.String("/dev/sdf"), Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: aws.Bool(false)}}}})
			if err == nil {
				_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			id, volume := w.busyVolume(c, driver)
			require.NoError(t, leave(id))
			require.Empty(t, w.awaitVolume(c, volume, types.VolumeStateAvailable).Attachments)
		})
	}
}

// busyVolume is a volume that is being detached and that its instance has mounted.
func (w *world) busyVolume(c *ec2.Client, driver *plugMachines) (instance, volume string) {
	w.t.Helper()
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ebs("/dev/sdf", gib(1))}
	})
	volume = *devicesOf(i)["/dev/sdf"].VolumeId
	driver.use(*i.InstanceId, true)
	_, failed := w.detach(c, ec2.DetachVolumeInput{VolumeId: &volume})
	require.Empty(w.t, failed)
	w.await(func() bool { return w.volumes(c)[volume].Attachments[0].State == types.VolumeAttachmentStateBusy })
	return *i.InstanceId, volume
}

// The next server looks at a busy volume too, whether its machine runs on, has ended meanwhile or is started again.
func TestBusyVolumeRecovers(t *testing.T) {
	dir, driver, disks := t.TempDir(), newPlugMachines(), newFakeDisks()
	c, err := sandbox.New(context.Background(), sandbox.Options{Dir: dir, Driver: driver, Disks: disks})
	require.NoError(t, err)
	var ran, lost, resumed [2]string
	t.Run("before", func(t *testing.T) {
		w := serve(t, c)
		ec := w.ec2(build, home)
		for _, at := range []*[2]string{&ran, &lost, &resumed} {
			at[0], at[1] = w.busyVolume(ec, driver)
		}
	})
	require.NoError(t, c.Close())
	require.NoError(t, driver.Stop(context.Background(), lost[0], true))
	require.NoError(t, driver.Stop(context.Background(), resumed[0], true))
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: driver, Disks: disks, Resume: []string{resumed[0]}})
	ec := w.ec2(build, home)
	w.awaitVolume(ec, lost[1], types.VolumeStateAvailable)
	w.awaitVolume(ec, resumed[1], types.VolumeStateAvailable)
	w.awaitInstance(ec, resumed[0], types.InstanceStateNameRunning)
	require.Equal(t, types.VolumeAttachmentStateBusy, w.volumes(ec)[ran[1]].Attachments[0].State)
	driver.use(ran[0], false)
	w.awaitVolume(ec, ran[1], types.VolumeStateAvailable)
	require.Equal(t, types.InstanceStateNameRunning, w.instance(ec, ran[0]).State.Name)
}

// noPlugs are machines that take volumes only while they are stopped.
type noPlugs struct{ machines.Driver }

func TestVolumesOfStoppedMachinesOnly(t *testing.T) {
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: noPlugs{newFakeMachines()}, Disks: sandbox.NoDisks{}})
	c := w.ec2(build, home)
	i := w.run(c, nil)
	volume := w.emptyVolume(c, *i.Placement.AvailabilityZone)
	_, failed := w.attach(c, volume, *i.InstanceId, "/dev/sdf")
	require.Equal(t, "Unsupported", failed)
	_, err := c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{*i.InstanceId}})
	require.NoError(t, err)
	w.awaitInstance(c, *i.InstanceId, types.InstanceStateNameStopped)
	_, failed = w.attach(c, volume, *i.InstanceId, "/dev/sdf")
	require.Empty(t, failed)
}

// A server that ends while a volume is on its way, and while several disks are captured: the next one ends what was begun.
func TestVolumesRecover(t *testing.T) {
	dir, disks := t.TempDir(), newFakeDisks()
	driver := newPlugMachines()
	driver.hang = true
	c, err := sandbox.New(context.Background(), sandbox.Options{Dir: dir, Driver: driver, Disks: disks})
	require.NoError(t, err)
	var plugged, image string
	t.Run("before", func(t *testing.T) {
		w := serve(t, c)
		ec := w.ec2(build, home)
		two := []types.BlockDeviceMapping{ebs("/dev/sdf", gib(1)), ebs("/dev/sdg", gib(1))}
		i := w.run(ec, func(in *ec2.RunInstancesInput) { in.BlockDeviceMappings = two })
		other := w.run(ec, func(in *ec2.RunInstancesInput) { in.BlockDeviceMappings = two })
		plugged = w.emptyVolume(ec, *i.Placement.AvailabilityZone)
		_, failed := w.attach(ec, plugged, *i.InstanceId, "/dev/sdh")
		require.Empty(t, failed)
		disks.set(nil, true)
		out, err := ec.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: other.InstanceId, Name: aws.String("web")})
		require.NoError(t, err)
		image = *out.ImageId
	})
	require.NoError(t, c.Close())
	disks.set(nil, false)
	driver.hang = false
	w := openWorld(t, sandbox.Options{Dir: dir, Driver: driver, Disks: disks})
	ec := w.ec2(build, home)
	w.await(func() bool { return w.volumes(ec)[plugged].Attachments[0].State == types.VolumeAttachmentStateAttached })
	require.Len(t, mappingOf(w.awaitImage(ec, image, types.ImageStateAvailable)), 3)
	found, err := ec.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{filter("status", "completed")}})
	require.NoError(t, err)
	require.Len(t, found.Snapshots, 3)
}

// When one of several disks cannot be captured the image fails, and of the others nothing stays.
func TestCaptureOfSeveralFails(t *testing.T) {
	disks := newFakeDisks()
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Driver: newFakeMachines(), Disks: disks})
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.BlockDeviceMappings = []types.BlockDeviceMapping{ebs("/dev/sdf", gib(1))}
	})
	before := disks.count()
	disks.set(context.DeadlineExceeded, false)
	out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("web")})
	require.NoError(t, err)
	require.Equal(t, "Server.InternalError", *w.awaitImage(c, *out.ImageId, types.ImageStateFailed).StateReason.Code)
	found, err := c.DescribeSnapshots(w.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	require.NoError(t, err)
	for _, s := range found.Snapshots {
		require.Equal(t, types.SnapshotStateError, s.State)
	}
	w.await(func() bool { return disks.count() == before })
}
