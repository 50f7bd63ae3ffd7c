package sandbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/require"
)

const looks = 60 // enough reads to meet a stale one and a fresh one with any seed

// seen counts the outcomes of many reads.
func seen(look func() string) map[string]int {
	found := map[string]int{}
	for range looks {
		found[look()]++
	}
	return found
}

// What was just made is there for some reads and not for others, and for all of them a while later (ec2-facts 1.8, 1.9,
// 2.3, 2.12).
func TestConsistencyOfNewResources(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "", "aws", "", 1)
	c := w.ec2(build, home)
	launched, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	id := *launched.Instances[0].InstanceId
	group, err := c.CreateSecurityGroup(w.ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("g"), Description: aws.String("d")})
	require.NoError(t, err)
	_, err = c.CreateKeyPair(w.ctx, &ec2.CreateKeyPairInput{KeyName: aws.String("k"), KeyType: types.KeyTypeEd25519})
	require.NoError(t, err)
	reads := map[string]func() string{
		"InvalidInstanceID.NotFound": func() string {
			_, err := c.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
			return code(err)
		},
		"empty": func() string {
			out, err := c.DescribeInstances(w.ctx, nil)
			if err == nil && len(out.Reservations) == 0 {
				return "empty"
			}
			return code(err)
		},
		"InvalidGroup.NotFound": func() string {
			_, err := c.DescribeSecurityGroups(w.ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{*group.GroupId}})
			return code(err)
		},
		"InvalidKeyPair.NotFound": func() string {
			_, err := c.DescribeKeyPairs(w.ctx, &ec2.DescribeKeyPairsInput{KeyNames: []string{"k"}})
			return code(err)
		},
	}
	for want, look := range reads {
		found := seen(look)
		require.Len(t, found, 2, "%s: %v", want, found)
		require.NotZero(t, found[want], "%v", found)
		require.NotZero(t, found[""], "%v", found)
	}
	s.add(3 * time.Second)
	for _, look := range reads {
		require.Equal(t, map[string]int{"": looks}, seen(look))
	}
}

// What EC2 decides strictly is decided strictly: names, tokens, and the deletion of what a read does not show.
func TestConsistencyIsForReads(t *testing.T) {
	w := under(t, newSleeper(), "", "aws", "", 1)
	c := w.ec2(build, home)
	launch := &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: aws.String("once")}
	first, err := c.RunInstances(w.ctx, launch)
	require.NoError(t, err)
	key := func() string {
		_, err := c.CreateKeyPair(w.ctx, &ec2.CreateKeyPairInput{KeyName: aws.String("k"), KeyType: types.KeyTypeEd25519})
		return code(err)
	}
	require.Empty(t, key())
	for range looks {
		require.Equal(t, "InvalidKeyPair.Duplicate", key())
		again, err := c.RunInstances(w.ctx, launch)
		require.NoError(t, err)
		require.Equal(t, *first.Instances[0].InstanceId, *again.Instances[0].InstanceId)
	}
	for range looks {
		_, err := c.DeleteKeyPair(w.ctx, &ec2.DeleteKeyPairInput{KeyName: aws.String("k")})
		require.NoError(t, err)
		require.Empty(t, key(), "the deletion took effect")
	}
}

// 7.11: after tagging, a search by tag may miss it, or still find it; a read by id shows it.
func TestConsistencyOfTags(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "", "aws", "", 1)
	c := w.ec2(build, home)
	var id string
	i, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	w.await(func() bool {
		out, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.Instances[0].InstanceId, Name: aws.String("web-1")})
		if err == nil {
			id = *out.ImageId
		}
		return err == nil
	})
	search := func(stage string) func() string {
		return func() string {
			out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter("tag:stage", stage)}})
			if err != nil || len(out.Images) > 0 {
				return "found" + code(err)
			}
			return "missed"
		}
	}
	for _, stage := range []string{"dev", "prod"} {
		s.add(3 * time.Second)
		_, err := c.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("stage"), Value: &stage}}})
		require.NoError(t, err)
		for range looks {
			require.Equal(t, stage, tagMap(w.see(c, id).Tags)["stage"], "a read by id")
		}
		require.Len(t, seen(search(stage)), 2)
	}
	require.Len(t, seen(search("dev")), 2, "the old value is still found by some")
	s.add(3 * time.Second)
	require.Equal(t, map[string]int{"found": looks}, seen(search("prod")))
	require.Equal(t, map[string]int{"missed": looks}, seen(search("dev")))
}

// States lag behind too: an image that is available is still pending for some reads.
func TestConsistencyOfStates(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "", "aws", "", 1)
	c := w.ec2(build, home)
	i, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: aws.String(w.base(home)), InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)})
	require.NoError(t, err)
	s.add(3 * time.Second)
	id := *i.Instances[0].InstanceId
	w.awaitInstance(c, id, types.InstanceStateNameRunning)
	s.add(3 * time.Second)
	_, err = c.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
	require.NoError(t, err)
	w.awaitInstance(c, id, types.InstanceStateNameStopped)
	found := seen(func() string { return string(w.instance(c, id).State.Name) })
	require.Len(t, found, 2, "%v", found)
	require.NotZero(t, found["stopping"])
	s.add(3 * time.Second)
	require.Equal(t, map[string]int{"stopped": looks}, seen(func() string { return string(w.instance(c, id).State.Name) }))
}

// Parameter Store and KMS may be behind as well: a read misses a new parameter, gives the value before the last, or does not
// know a new key. PutParameter itself decides strictly.
func TestConsistencyOfParametersAndKeys(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "", "aws", "", 1)
	c := w.ssm(build, home)
	get := func() string {
		out, err := c.GetParameter(w.ctx, &ssm.GetParameterInput{Name: aws.String("/p")})
		if err != nil {
			return code(err)
		}
		return *out.Parameter.Value
	}
	list := func() string {
		out, err := c.GetParametersByPath(w.ctx, &ssm.GetParametersByPathInput{Path: aws.String("/")})
		require.NoError(t, err)
		if len(out.Parameters) == 0 {
			return "none"
		}
		return *out.Parameters[0].Value
	}
	_, e := w.put(c, "/p", "one", nil)
	require.Empty(t, e)
	found := seen(get)
	require.NotZero(t, found["ParameterNotFound"], "%v", found)
	require.NotZero(t, found["one"], "%v", found)
	require.Len(t, seen(list), 2)
	for range looks {
		_, e = w.put(c, "/p", "one", nil)
		require.Equal(t, "ParameterAlreadyExists", e)
	}
	s.add(3 * time.Second)
	require.Equal(t, map[string]int{"one": looks}, seen(get))
	_, e = w.put(c, "/p", "two", overwrite)
	require.Empty(t, e)
	found = seen(get)
	require.NotZero(t, found["one"], "the value before: %v", found)
	require.NotZero(t, found["two"], "%v", found)
	s.add(3 * time.Second)
	require.Equal(t, map[string]int{"two": looks}, seen(list))

	key := w.key(build, home)
	_, err := w.kms(build, home).CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/new"), TargetKeyId: &key})
	require.NoError(t, err, "a write knows the key")
	for _, name := range []string{key, "alias/new"} {
		describe := func() string {
			_, err := w.kms(build, home).DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: &name})
			return code(err)
		}
		found := seen(describe)
		require.Len(t, found, 2, "%v", found)
		require.NotZero(t, found["NotFoundException"])
	}
}

// 2.3: a copy is not seen at once in the Region it is made in, and two of one name can be.
func TestConsistencyOfCopies(t *testing.T) {
	s := newSleeper()
	w := under(t, s, "", "aws", "", 1)
	there := w.ec2(build, away)
	id := w.base(home)
	for range 2 {
		_, err := there.CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("copy"), SourceImageId: &id, SourceRegion: aws.String(home)})
		require.NoError(t, err)
	}
	look := func() string {
		out, err := there.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{filter("name", "copy")}})
		require.NoError(t, err)
		return fmt.Sprint(len(out.Images))
	}
	found := seen(look)
	require.NotZero(t, found["0"], "%v", found)
	require.NotZero(t, found["2"], "%v", found)
	s.add(3 * time.Second)
	require.Equal(t, map[string]int{"2": looks}, seen(look))
}
