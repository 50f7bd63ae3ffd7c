package sandbox_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

// 4.16: what an account lets itself see and launch of the images of others, applied or only told.
func TestAllowedImages(t *testing.T) {
	w := newWorld(t)
	owner, c := w.ec2(build, home), w.ec2(consumer, home)
	id := w.image(owner, "web-1")
	w.share(owner, id, consumer)
	mine := w.image(c, "mine")
	base := w.base(home)
	state := func() string {
		out, err := c.GetAllowedImagesSettings(w.ctx, nil)
		require.NoError(t, err)
		require.Equal(t, types.ManagedByAccount, out.ManagedBy)
		return *out.State
	}
	set := func(word types.AllowedImagesSettingsEnabledState, criteria ...types.ImageCriterionRequest) {
		_, err := c.ReplaceImageCriteriaInAllowedImagesSettings(w.ctx, &ec2.ReplaceImageCriteriaInAllowedImagesSettingsInput{ImageCriteria: criteria})
		require.NoError(t, err)
		_, err = c.EnableAllowedImagesSettings(w.ctx, &ec2.EnableAllowedImagesSettingsInput{AllowedImagesSettingsState: word})
		require.NoError(t, err)
		require.Equal(t, string(word), state())
	}
	seen := func() map[string]bool {
		out, err := c.DescribeImages(w.ctx, nil)
		require.NoError(t, err)
		found := map[string]bool{}
		for _, i := range out.Images {
			found[*i.ImageId] = i.ImageAllowed == nil || *i.ImageAllowed
		}
		return found
	}
	require.Equal(t, "disabled", state())
	require.Nil(t, w.see(c, id).ImageAllowed)

	set("audit-mode", types.ImageCriterionRequest{ImageProviders: []string{debian}})
	require.Equal(t, map[string]bool{id: false, mine: true, base: true}, seen(), "audit mode tells and lets")
	w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = &id })

	for name, x := range map[string]struct {
		criteria []types.ImageCriterionRequest
		want     []string
	}{
		"none but the own":           {nil, []string{mine}},
		"an account":                 {[]types.ImageCriterionRequest{{ImageProviders: []string{build}}}, []string{mine, id}},
		"a name":                     {[]types.ImageCriterionRequest{{ImageNames: []string{"debian-*"}}}, []string{mine, base}},
		"an account and a name":      {[]types.ImageCriterionRequest{{ImageProviders: []string{build}, ImageNames: []string{"debian-*"}}}, []string{mine}},
		"one of two":                 {[]types.ImageCriterionRequest{{ImageProviders: []string{build}}, {ImageNames: []string{"debian-*"}}}, []string{mine, id, base}},
		"young":                      {[]types.ImageCriterionRequest{{CreationDateCondition: &types.CreationDateConditionRequest{MaximumDaysSinceCreated: aws.Int32(1)}}}, []string{mine, id}},
		"not long deprecated":        {[]types.ImageCriterionRequest{{DeprecationTimeCondition: &types.DeprecationTimeConditionRequest{MaximumDaysSinceDeprecated: aws.Int32(0)}}}, []string{mine, id, base}},
		"sold in a marketplace":      {[]types.ImageCriterionRequest{{MarketplaceProductCodes: []string{"abc"}}}, []string{mine}},
		"the word for the own image": {[]types.ImageCriterionRequest{{ImageProviders: []string{"none"}}}, []string{mine}},
	} {
		set("enabled", x.criteria...)
		want := map[string]bool{}
		for _, i := range x.want {
			want[i] = true
		}
		require.Equal(t, want, seen(), name)
		_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: &id, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), DryRun: aws.Bool(true)})
		require.Equal(t, map[bool]string{true: "DryRunOperation", false: "InvalidAMIID.NotFound"}[want[id]], code(err), name)
	}
	set("enabled", types.ImageCriterionRequest{ImageProviders: []string{build}}) // whichever case came last
	got, err := c.GetAllowedImagesSettings(w.ctx, nil)
	require.NoError(t, err)
	require.Len(t, got.ImageCriteria, 1)
	metadata, err := c.DescribeInstanceImageMetadata(w.ctx, &ec2.DescribeInstanceImageMetadataInput{Filters: []types.Filter{filter("image-id", id)}})
	require.NoError(t, err)
	set("enabled", types.ImageCriterionRequest{ImageProviders: []string{"none"}})
	metadata, err = c.DescribeInstanceImageMetadata(w.ctx, &ec2.DescribeInstanceImageMetadataInput{InstanceIds: []string{*metadata.InstanceImageMetadata[0].InstanceId}})
	require.NoError(t, err)
	require.False(t, *metadata.InstanceImageMetadata[0].ImageMetadata.ImageAllowed)
	require.Len(t, w.ownImages(owner), 1, "another account's setting is its own")

	for _, bad := range []types.ImageCriterionRequest{{ImageProviders: []string{"none", build}}, {ImageProviders: []string{"me"}},
		{CreationDateCondition: &types.CreationDateConditionRequest{MaximumDaysSinceCreated: aws.Int32(-1)}}} {
		_, err := c.ReplaceImageCriteriaInAllowedImagesSettings(w.ctx, &ec2.ReplaceImageCriteriaInAllowedImagesSettingsInput{ImageCriteria: []types.ImageCriterionRequest{bad}})
		require.Contains(t, []string{"InvalidParameterValue", "InvalidParameterCombination"}, code(err))
	}
	off, err := c.DisableAllowedImagesSettings(w.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, "disabled", string(off.AllowedImagesSettingsState))
	require.Len(t, seen(), 3)
}

func (w *world) ownImages(c *ec2.Client) []types.Image {
	w.t.Helper()
	out, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, IncludeDisabled: aws.Bool(true)})
	require.NoError(w.t, err)
	return out.Images
}

// 1.44: an instance profile can be given, exchanged and taken away later; the association of a launch is one too.
func TestInstanceProfiles(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	profile := func(name string) *types.IamInstanceProfileSpecification {
		return &types.IamInstanceProfileSpecification{Name: &name}
	}
	plain := w.run(c, nil).InstanceId
	launched := w.run(c, func(in *ec2.RunInstancesInput) { in.IamInstanceProfile = profile("web") }).InstanceId
	of := func(instance *string) []types.IamInstanceProfileAssociation {
		out, err := c.DescribeIamInstanceProfileAssociations(w.ctx, &ec2.DescribeIamInstanceProfileAssociationsInput{Filters: []types.Filter{filter("instance-id", *instance), filter("state", "associated")}})
		require.NoError(t, err)
		return out.IamInstanceProfileAssociations
	}
	require.Empty(t, of(plain))
	require.Equal(t, "arn:aws:iam::"+build+":instance-profile/web", *of(launched)[0].IamInstanceProfile.Arn)
	made, err := c.AssociateIamInstanceProfile(w.ctx, &ec2.AssociateIamInstanceProfileInput{InstanceId: plain, IamInstanceProfile: profile("one")})
	require.NoError(t, err)
	require.Equal(t, types.IamInstanceProfileAssociationStateAssociating, made.IamInstanceProfileAssociation.State)
	require.Equal(t, "arn:aws:iam::"+build+":instance-profile/one", *w.instance(c, *plain).IamInstanceProfile.Arn)
	_, err = c.AssociateIamInstanceProfile(w.ctx, &ec2.AssociateIamInstanceProfileInput{InstanceId: plain, IamInstanceProfile: profile("two")})
	require.Equal(t, "IncorrectState", code(err))
	old := of(plain)[0].AssociationId
	changed, err := c.ReplaceIamInstanceProfileAssociation(w.ctx, &ec2.ReplaceIamInstanceProfileAssociationInput{AssociationId: old, IamInstanceProfile: profile("two")})
	require.NoError(t, err)
	require.NotEqual(t, *old, *changed.IamInstanceProfileAssociation.AssociationId)
	all, err := c.DescribeIamInstanceProfileAssociations(w.ctx, &ec2.DescribeIamInstanceProfileAssociationsInput{AssociationIds: []string{*of(plain)[0].AssociationId, *of(launched)[0].AssociationId}})
	require.NoError(t, err)
	require.Len(t, all.IamInstanceProfileAssociations, 2)
	gone, err := c.DisassociateIamInstanceProfile(w.ctx, &ec2.DisassociateIamInstanceProfileInput{AssociationId: changed.IamInstanceProfileAssociation.AssociationId})
	require.NoError(t, err)
	require.Equal(t, types.IamInstanceProfileAssociationStateDisassociating, gone.IamInstanceProfileAssociation.State)
	require.Nil(t, w.instance(c, *plain).IamInstanceProfile)
	_, err = c.DisassociateIamInstanceProfile(w.ctx, &ec2.DisassociateIamInstanceProfileInput{AssociationId: old})
	require.Equal(t, "InvalidAssociationID.NotFound", code(err))
	_, err = c.AssociateIamInstanceProfile(w.ctx, &ec2.AssociateIamInstanceProfileInput{InstanceId: plain, IamInstanceProfile: profile("a b")})
	require.Equal(t, "InvalidParameterValue", code(err))
	_, err = w.ec2(consumer, home).DisassociateIamInstanceProfile(w.ctx, &ec2.DisassociateIamInstanceProfileInput{AssociationId: of(launched)[0].AssociationId})
	require.Equal(t, "InvalidAssociationID.NotFound", code(err), "of another account")
}
