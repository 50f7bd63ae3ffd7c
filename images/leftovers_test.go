package images_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/imgops/imgops/images"
)

// leave makes a group and a key with tags, as a killed run leaves them.
func leave(t *testing.T, api *ec2.Client, name string, tags map[string]string) {
	t.Helper()
	spec := func(kind types.ResourceType) []types.TagSpecification {
		return []types.TagSpecification{{ResourceType: kind, Tags: images.EC2Tags(tags)}}
	}
	_, err := api.CreateSecurityGroup(t.Context(), &ec2.CreateSecurityGroupInput{
		GroupName: aws.String(name), Description: aws.String("test"), TagSpecifications: spec(types.ResourceTypeSecurityGroup),
	})
	require.NoError(t, err)
	public, _, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	key, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	_, err = api.ImportKeyPair(t.Context(), &ec2.ImportKeyPairInput{
		KeyName: aws.String(name), PublicKeyMaterial: ssh.MarshalAuthorizedKey(key), TagSpecifications: spec(types.ResourceTypeKeyPair),
	})
	require.NoError(t, err)
}

func TestLeftovers(t *testing.T) {
	loc := images.Location{Account: "111111111111", Region: "us-east-1"}
	api, err := newClients(t).EC2(t.Context(), loc)
	require.NoError(t, err)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tags := func(fleet, run string, expires string) map[string]string {
		return map[string]string{images.TagFleet: fleet, images.TagRole: "web", images.TagRun: run, images.TagExpires: expires}
	}
	old, later := now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)
	leave(t, api, "expired", tags("acme", "r1", old))
	leave(t, api, "alive", tags("acme", "r2", later))
	leave(t, api, "no-run", tags("acme", "", old))
	leave(t, api, "garbled", tags("acme", "r3", "yesterday"))
	leave(t, api, "another-fleet", tags("other", "r4", old))
	leave(t, api, "strangers", map[string]string{"Name": "precious"})

	list, err := images.Leftovers(t.Context(), api, "acme", now)
	require.NoError(t, err)
	require.Len(t, list, 2)
	for i, kind := range []string{images.KindSecurityGroup, images.KindKeyPair} {
		require.Equal(t, kind, list[i].Kind)
		require.Equal(t, "r1", list[i].Run)
		require.Equal(t, now.Add(-time.Hour), list[i].Expires)
	}

	gone, err := images.Remove(t.Context(), api, list)
	require.NoError(t, err)
	require.Equal(t, list, gone)
	keys, err := api.DescribeKeyPairs(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, keys.KeyPairs, 5, "only the expired one of the fleet is gone")

	gone, err = images.Remove(t.Context(), api, append(list, images.Leftover{Kind: images.KindSecurityGroup, ID: "nonsense"}))
	require.ErrorContains(t, err, "removing security-group nonsense")
	require.Equal(t, list, gone, "what somebody else has removed is gone")
}

func TestLeftoversOfNoFleet(t *testing.T) {
	_, err := images.Leftovers(t.Context(), nil, "", time.Now())
	require.ErrorContains(t, err, "empty selector")
}
