package sandbox

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseConditions(t *testing.T) {
	c, err := ParseConditions("aws", "aws:0.5", "aws", []string{"ec2:CreateImage:2:lost", "ssm:*:5%:hang=3s"}, 7)
	require.NoError(t, err)
	require.Equal(t, []string{"latency aws:1", "consistency aws:0.5", "throttle aws", "fault ec2:CreateImage:2:lost (struck 0 of 0 calls)",
		"fault ssm:*:5%:hang=3s (struck 0 of 0 calls)", "seed 7"}, newSimulation(c, time.Now, nil).describe())
	c, err = ParseConditions("", "", "", nil, 7)
	require.NoError(t, err)
	require.Nil(t, newSimulation(c, time.Now, nil), "a seed alone is no condition")
	for _, bad := range []string{"azure", "aws:", "aws:0", "aws:-1", "aws:x", "aws:NaN", "aws:Inf", "awsome", "aws:1e9"} {
		_, err := ParseConditions(bad, "", "", nil, 0)
		require.ErrorContains(t, err, "aws:FACTOR", bad)
		_, err = ParseConditions("", bad, "", nil, 0)
		require.ErrorContains(t, err, "aws:FACTOR", bad)
	}
	_, err = ParseConditions("", "", "aws:2", nil, 0)
	require.ErrorContains(t, err, "the only choice is aws")
}

func TestParseFault(t *testing.T) {
	for _, good := range []string{"ec2:CreateImage:2:lost", "ec2/eu-west-1:CopyImage:3-:failed", "ec2:RunInstances:1-4:error=InsufficientInstanceCapacity",
		"ec2:RunInstances:every:terminated=Server.InsufficientInstanceCapacity", "ssm:*:12.5%:error=InternalServerError", "sts:AssumeRole:1:hang=1m30s"} {
		f, err := ParseFault(good)
		require.NoError(t, err)
		require.Equal(t, good, f.String())
	}
	for bad, say := range map[string]string{
		"":                               "1 of the four parts",
		"ec2:CreateImage:lost":           "3 of the four parts",
		"s3:GetObject:1:lost":            `no service "s3"`,
		"ec2/mars-1:CreateImage:1:lost":  `no Region "mars-1"`,
		"ec2/:CreateImage:1:lost":        `no Region ""`,
		"ec2:BakeImage:1:lost":           `no action "BakeImage"`,
		"ec2:CreateImage:0:lost":         "count from 1",
		"ec2:CreateImage:x:lost":         "count from 1",
		"ec2:CreateImage:4-2:lost":       "end before they begin",
		"ec2:CreateImage:0%:lost":        "share of calls",
		"ec2:CreateImage:101%:lost":      "share of calls",
		"ec2:CreateImage:1:sulk":         "the kinds are error, hang, lost, failed, terminated",
		"ec2:CreateImage:1:lost=yes":     "takes no value",
		"ec2:CreateImage:1:error":        "no error code",
		"ec2:CreateImage:1:error=a b":    "no error code",
		"ec2:CreateImage:1:hang=soon":    "no duration",
		"ec2:CreateImage:1:hang=-1s":     "no duration",
		"ec2:CreateTags:1:failed":        "not for CreateTags",
		"ec2:*:1:failed":                 "not for *",
		"ec2:CreateImage:1:terminated":   "not for CreateImage",
		"ec2:CreateImage:1:failed=nope!": "no error code",
	} {
		_, err := ParseFault(bad)
		require.ErrorContains(t, err, say, bad)
		require.ErrorContains(t, err, "SERVICE[/REGION]:ACTION:WHEN:KIND", bad)
	}
}

// Whatever is accepted is a rule that can be told apart from nothing, says itself again and reads the same again.
func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{"ec2:CreateImage:2:lost", "ec2/eu-west-1:CopyImage:3-:failed=X.Y", "ssm:*:12.5%:hang=3s", "ec2:RunInstances:1-4:error=A1",
		"ec2::1:lost", "a:b:c:d", ":::", "ec2:CreateImage:NaN%:lost", "ec2:CreateImage:99999999999999999999:lost"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rule, err := ParseFault(text)
		if err != nil {
			require.Equal(t, Fault{}, rule)
			return
		}
		again, err := ParseFault(rule.String())
		require.NoError(t, err)
		require.Equal(t, rule, again)
		require.NotEmpty(t, rule.kind)
		require.GreaterOrEqual(t, rule.first, 1)
		require.GreaterOrEqual(t, rule.last, rule.first)
		require.True(t, rule.percent >= 0 && rule.percent <= 100, rule.percent)
		require.True(t, rule.hang >= 0 && rule.hang <= maxHang)
	})
}

// Every action of KMS has a rate.
func TestKeyRates(t *testing.T) {
	require.ElementsMatch(t, slices.Collect(maps.Keys(kmsActions)), slices.Collect(maps.Keys(keyRates)))
}

// 7.1, with the numbers: how many calls pass at once, and how many more after a second.
func TestThrottleRates(t *testing.T) {
	instances := func(n int) url.Values {
		v := url.Values{}
		for i := range n {
			v.Set(fmt.Sprintf("InstanceId.%d", i+1), fmt.Sprintf("i-%017d", i))
		}
		return v
	}
	for _, x := range []struct {
		service, action   string
		params            url.Values
		burst, nextSecond int
	}{
		{"ec2", "DescribeImages", nil, 100, 20},
		{"ec2", "DescribeInstances", nil, 50, 10},
		{"ec2", "DescribeInstances", url.Values{"MaxResults": {"5"}}, 100, 20},
		{"ec2", "DescribeInstances", url.Values{"Filter.1.Name": {"image-id"}}, 100, 20},
		{"ec2", "DescribeSnapshots", url.Values{"SnapshotId.1": {"snap-1"}}, 100, 20},
		{"ec2", "DescribeSnapshots", url.Values{"Owner.1": {"self"}}, 50, 10},
		{"ec2", "CreateImage", nil, 50, 5},
		{"ec2", "CopyImage", nil, 100, 1},
		{"ec2", "RunInstances", url.Values{"MaxCount": {"1"}}, 5, 2},
		{"ec2", "RunInstances", url.Values{"MaxCount": {"400"}}, 2, 0},
		{"ec2", "StartInstances", instances(1), 5, 2},
		{"ec2", "StopInstances", instances(100), 10, 0},
		{"ec2", "StopInstances", instances(1), 50, 5},
		{"ec2", "TerminateInstances", instances(20), 50, 1},
		{"ec2", "CreateTags", nil, 100, 10},
		{"ec2", "DeregisterImage", nil, 100, 5},
		{"ec2", "CreateKeyPair", nil, 50, 5},
		{"ssm", "PutParameter", nil, 3, 3},
		{"ssm", "GetParameters", nil, 40, 40},
		{"sts", "AssumeRole", nil, 600, 600},
		{"kms", "CreateKey", nil, 5, 5},
		{"kms", "CreateGrant", nil, 50, 50},
		{"kms", "ListAliases", nil, 500, 500},
	} {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := newSimulation(Conditions{Throttle: true}, func() time.Time { return now }, nil)
		pass := func(account string) (n int) {
			q := &call{place: place{account, "us-east-1"}, service: x.service, action: x.action, params: x.params}
			for n < 2000 && s.throttle(q) == nil {
				n++
			}
			return n
		}
		what := x.service + " " + x.action + " " + x.params.Encode()
		what = what[:min(80, len(what))]
		require.Equal(t, x.burst, pass("111111111111"), what)
		require.Equal(t, x.burst, pass("222222222222"), "%s: another account has buckets of its own", what)
		now = now.Add(time.Second)
		require.Equal(t, x.nextSecond, pass("111111111111"), what)
	}
}
