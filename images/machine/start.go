package machine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
)

// runningTime is how long an instance may be pending.
const runningTime = 10 * time.Minute

// start launches the instance: of the first type that EC2 has room for, in the order of the spec.
func (m *Machine) start(ctx context.Context, progress images.Progress) error {
	in, err := m.runInput()
	if err != nil {
		return fmt.Errorf("launching %s: %w", m.name, err)
	}
	var refused []error
	for _, kind := range m.spec.InstanceTypes {
		progress.Say("launch", kind+" of "+m.spec.Image.ID)
		in.InstanceType = types.InstanceType(kind)
		err := m.startType(ctx, in, progress)
		if err == nil {
			return nil
		}
		refused = append(refused, fmt.Errorf("launching a %s of image %s in %s: %w", kind, m.spec.Image.ID, m.spec.Location, err))
		if !noRoom(err) || ctx.Err() != nil {
			break
		}
	}
	if len(refused) == 0 {
		return fmt.Errorf("launching %s: no instance type is given", m.name)
	}
	return errors.Join(refused...)
}

func (m *Machine) startType(ctx context.Context, in *ec2.RunInstancesInput, progress images.Progress) error {
	if err := m.run(ctx, in); err != nil {
		return err
	}
	progress.Say("launch", m.ID+" to run")
	ctx, cancel := context.WithTimeoutCause(ctx, runningTime, fmt.Errorf("it does not run after %s", runningTime))
	defer cancel()
	got, err := m.waitState(ctx, types.InstanceStateNameRunning)
	if err != nil {
		return fmt.Errorf("instance %s: %w", m.ID, err)
	}
	m.Address = address(got)
	return nil
}

// launchAttempts is how often the machine of one run and purpose can be launched anew: a CI job that is repeated keeps
// its run id, and each repetition uses up a token.
const launchAttempts = 20

// run calls RunInstances. The token can belong to a machine that an earlier process of this run launched with other
// keys; such a machine is of no use to anybody and is ended.
func (m *Machine) run(ctx context.Context, in *ec2.RunInstancesInput) error {
	for attempt := range launchAttempts {
		in.ClientToken = aws.String(m.clientToken(string(in.InstanceType), attempt))
		err := m.runOnce(ctx, in)
		if images.Code(err) != "IdempotentParameterMismatch" || attempt == launchAttempts-1 {
			return err
		}
		if err := m.endFound(ctx); err != nil {
			return fmt.Errorf("ending a machine of an earlier attempt: %w", err)
		}
	}
	return nil
}

func (m *Machine) runOnce(ctx context.Context, in *ec2.RunInstancesInput) error {
	ctx, cancel := Answered(ctx)
	defer cancel()
	m.startAsked = true
	var out *ec2.RunInstancesOutput
	err := settle(ctx, func(ctx context.Context) (err error) {
		out, err = m.api.RunInstances(ctx, in, noRetryForRoom)
		return err
	}, "InvalidKeyPair.NotFound", "InvalidGroup.NotFound", "InvalidAMIID.NotFound")
	m.startLost = err != nil && images.Code(err) == ""
	if err != nil {
		return err
	}
	if len(out.Instances) != 1 {
		return fmt.Errorf("EC2 answered with %d instances, wanted 1", len(out.Instances))
	}
	m.ID, m.gone, m.launched = aws.ToString(out.Instances[0].InstanceId), false, time.Now()
	return nil
}

func (m *Machine) runInput() (*ec2.RunInstancesInput, error) {
	s := m.spec
	if s.DiskGiB > 0 && s.DiskGiB < s.Image.DiskGiB {
		return nil, fmt.Errorf("build.disk of %d GiB is less than the %d GiB of image %s", s.DiskGiB, s.Image.DiskGiB, s.Image.ID)
	}
	data, err := m.userData()
	if err != nil {
		return nil, err
	}
	in := &ec2.RunInstancesInput{
		ImageId: aws.String(s.Image.ID), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), KeyName: aws.String(m.name),
		SecurityGroupIds: []string{m.groupID}, UserData: aws.String(base64.StdEncoding.EncodeToString(data)),
		TagSpecifications: m.tagged(types.ResourceTypeInstance, types.ResourceTypeVolume),
		MetadataOptions: &types.InstanceMetadataOptionsRequest{
			HttpEndpoint: types.InstanceMetadataEndpointStateEnabled, HttpTokens: types.HttpTokensStateRequired,
			HttpPutResponseHopLimit: aws.Int32(1),
		},
		// With the shutdown that the user data schedules, a machine that everybody forgot ends itself. StopInstances is
		// not initiated by the instance and still stops it.
		InstanceInitiatedShutdownBehavior: types.ShutdownBehaviorTerminate,
	}
	if s.SubnetID != "" {
		in.SubnetId = aws.String(s.SubnetID)
	}
	if s.Image.RootDevice != "" { // another name would add a second volume
		ebs := &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true)}
		if s.DiskGiB > 0 {
			ebs.VolumeSize = aws.Int32(s.DiskGiB)
		}
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String(s.Image.RootDevice), Ebs: ebs}}
	}
	for _, v := range s.Image.Volumes { // none of a temporary machine's stays
		in.BlockDeviceMappings = append(in.BlockDeviceMappings, types.BlockDeviceMapping{DeviceName: aws.String(v.Device), Ebs: &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true)}})
	}
	return in, nil
}

// waitState polls until the instance is in the state (and has an address, when it shall run), and fails when it can no
// longer get there. A new instance may be unknown for a moment.
func (m *Machine) waitState(ctx context.Context, want types.InstanceStateName) (types.Instance, error) {
	var got types.Instance
	deadline := time.Now().Add(settleTime)
	err := images.Poll(ctx, func(ctx context.Context) (bool, error) {
		found, err := m.describe(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{m.ID}})
		if err != nil {
			return false, err
		}
		if len(found) == 0 {
			if time.Now().After(deadline) {
				return false, fmt.Errorf("EC2 does not know it %s after its launch", settleTime)
			}
			return false, nil
		}
		got = found[0]
		state := got.State.Name
		if state == want {
			return want != types.InstanceStateNameRunning || address(got) != "", nil
		}
		if state == types.InstanceStateNamePending || state == types.InstanceStateNameStopping || state == types.InstanceStateNameRunning {
			return false, nil
		}
		if state == types.InstanceStateNameShuttingDown && got.StateReason == nil && want != state {
			return false, nil // on its way to the end, and why is told a moment later: it decides whether another type is tried
		}
		m.gone = state == types.InstanceStateNameTerminated
		return false, &endedError{state: state, want: want, reason: got.StateReason}
	})
	return got, err
}

// describe lists instances; an unknown id gives none.
func (m *Machine) describe(ctx context.Context, in *ec2.DescribeInstancesInput) ([]types.Instance, error) {
	var list []types.Instance
	for pages := ec2.NewDescribeInstancesPaginator(m.api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if images.Code(err) == "InvalidInstanceID.NotFound" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				if i.State != nil {
					list = append(list, i)
				}
			}
		}
	}
	return list, nil
}

func address(i types.Instance) string {
	if public := aws.ToString(i.PublicIpAddress); public != "" {
		return public
	}
	return aws.ToString(i.PrivateIpAddress)
}

// endedError says that an instance left the path to the state that was waited for.
type endedError struct {
	state, want types.InstanceStateName
	reason      *types.StateReason
}

func (e *endedError) Error() string {
	text := fmt.Sprintf("it is %s instead of %s", e.state, e.want)
	if e.reason == nil {
		return text + "; EC2 gives no reason"
	}
	return text + ": " + strings.TrimSpace(aws.ToString(e.reason.Code)+" "+aws.ToString(e.reason.Message))
}

// noRoom says that another instance type may work: EC2 has no room for this one, or not here. That can also show after
// RunInstances has succeeded (EC2 API, StateReason).
func noRoom(err error) bool {
	code := images.Code(err)
	if ended := (*endedError)(nil); errors.As(err, &ended) && ended.reason != nil {
		code = strings.TrimPrefix(aws.ToString(ended.reason.Code), "Server.")
	}
	return code == "InsufficientInstanceCapacity" || code == "Unsupported"
}

// noRetryForRoom lets a full cloud answer at once: the code comes with status 500, which the SDK would try three times.
func noRetryForRoom(o *ec2.Options) {
	if r, ok := o.Retryer.(aws.RetryerV2); ok {
		o.Retryer = roomRetryer{r}
	}
}

type roomRetryer struct{ aws.RetryerV2 }

func (r roomRetryer) IsErrorRetryable(err error) bool {
	return !noRoom(err) && r.RetryerV2.IsErrorRetryable(err)
}
