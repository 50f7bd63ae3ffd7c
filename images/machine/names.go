package machine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/imgops/imgops/images"
)

// answerTime bounds a call whose answer must not be lost.
const answerTime = time.Minute

// settleTime is how long a new resource may be unknown to EC2 before that is an error: EC2 is eventually consistent
// (EC2 developer guide, "Eventual consistency").
const settleTime = 30 * time.Second

// Answered makes a context for a call that makes something: it is not cut by the end of ctx, for then nobody would
// know whether, and under which id, the thing was made. What it made is undone in order a moment later.
func Answered(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(ctx), answerTime, fmt.Errorf("no answer within %s", answerTime))
}

// settle repeats a call as long as EC2 answers with one of the codes, for settleTime.
func settle(ctx context.Context, call func(context.Context) error, codes ...string) error {
	until := time.Now().Add(settleTime)
	return images.Poll(ctx, func(ctx context.Context) (bool, error) {
		err := call(ctx)
		if slices.Contains(codes, images.Code(err)) && time.Now().Before(until) {
			return false, nil
		}
		return true, err
	})
}

// resourceName is deterministic, so that a second process of the run finds what the first one made. Key pairs and
// security groups allow 255 ASCII characters (EC2 API, ImportKeyPair and CreateSecurityGroup).
func resourceName(s Spec) string {
	parts := []string{"imgops", s.Run, s.Purpose, s.Role}
	if s.Suffix != "" {
		parts = append(parts, s.Suffix)
	}
	full := strings.Join(parts, "-")
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_.", r):
			return r
		}
		return '-'
	}, full)
	if name != full || len(name) > 255 {
		name = name[:min(len(name), 200)] + "-" + fingerprint(full)
	}
	return name
}

// clientToken makes RunInstances idempotent across processes: at most 64 ASCII characters. The instance type is part
// of it, since the same token with other parameters is refused (EC2 developer guide, "Idempotency"), and so is the
// attempt, which is above 0 only after such a refusal.
func (m *Machine) clientToken(instanceType string, attempt int) string {
	s := m.spec
	return "imgops-" + fingerprint(strings.Join([]string{s.Fleet, s.Run, s.Purpose, s.Role, s.Suffix}, "\x00")) +
		"-" + fingerprint(fmt.Sprintf("%s %d", instanceType, attempt))
}

func (m *Machine) tags() map[string]string {
	return map[string]string{
		images.TagName: m.name, images.TagFleet: m.spec.Fleet, images.TagRole: m.spec.Role, images.TagRun: m.spec.Run,
		images.TagExpires: m.expires.Format(time.RFC3339),
	}
}

func (m *Machine) tagged(kinds ...types.ResourceType) []types.TagSpecification {
	specs := make([]types.TagSpecification, len(kinds))
	for i, kind := range kinds {
		specs[i] = types.TagSpecification{ResourceType: kind, Tags: images.EC2Tags(m.tags())}
	}
	return specs
}

// ours says that a resource was made by this run, for this machine.
func (m *Machine) ours(tags []types.Tag) bool {
	got := map[string]string{}
	for _, t := range tags {
		got[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return got[images.TagRun] == m.spec.Run && got[images.TagName] == m.name
}

func (m *Machine) ownFilters() []types.Filter {
	return []types.Filter{
		{Name: aws.String("tag:" + images.TagRun), Values: []string{m.spec.Run}},
		{Name: aws.String("tag:" + images.TagName), Values: []string{m.name}},
	}
}
