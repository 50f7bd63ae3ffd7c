package sandbox_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

const (
	orgARN   = "arn:aws:organizations::111111111111:organization/o-abcdefghij"
	outerARN = "arn:aws:organizations::111111111111:ou/o-abcdefghij/ou-ab12-11111111"
	innerARN = "arn:aws:organizations::111111111111:ou/o-abcdefghij/ou-ab12-22222222"
	otherARN = "arn:aws:organizations::111111111111:organization/o-zzzzzzzzzz"
)

// organized is a sandbox in which consumer is in a unit within a unit, stranger at the root of the same organization, and
// 444444444444 in none.
func organized(t *testing.T) *world {
	t.Helper()
	o, err := sandbox.ParseOrganizations([]string{"o-abcdefghij/r-ab12/ou-ab12-11111111/ou-ab12-22222222=" + consumer, "o-abcdefghij=" + stranger})
	require.NoError(t, err)
	return openWorld(t, sandbox.Options{Dir: t.TempDir(), Organizations: o})
}

// 4.1, 4.3, 4.13: an image that is shared with an organization or a unit is seen, found and launched by the accounts in it, in
// units below it too, and by no others.
func TestSharingWithOrganizations(t *testing.T) {
	w := organized(t)
	owner := w.ec2(build, home)
	id := w.image(owner, "web-1", tagged("image", "role", "web"))
	for _, x := range []struct {
		name, org, unit string
		inUnit, inRoot  bool
	}{
		{"organization", orgARN, "", true, true},
		{"unit", "", innerARN, true, false},
		{"unit above", "", outerARN, true, false},
		{"another organization", otherARN, "", false, false},
	} {
		p := types.LaunchPermission{OrganizationArn: &x.org}
		if x.org == "" {
			p = types.LaunchPermission{OrganizationalUnitArn: &x.unit}
		}
		_, err := owner.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, LaunchPermission: &types.LaunchPermissionModifications{Add: []types.LaunchPermission{p}}})
		require.NoError(t, err, x.name)
		for account, member := range map[string]bool{consumer: x.inUnit, stranger: x.inRoot, "444444444444": false} {
			require.Equal(t, member, w.reaches(account, id), "%s, %s", x.name, account)
		}
		_, err = owner.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, LaunchPermission: &types.LaunchPermissionModifications{Remove: []types.LaunchPermission{p}}})
		require.NoError(t, err)
		require.False(t, w.reaches(consumer, id), "%s: taken back", x.name)
	}

	_, err := owner.ModifyImageAttribute(w.ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, Attribute: aws.String("launchPermission"), OperationType: types.OperationTypeAdd,
		OrganizationArns: []string{orgARN}, OrganizationalUnitArns: []string{innerARN, outerARN}, UserIds: []string{consumer}})
	require.NoError(t, err, "the flat form")
	out, err := w.ec2(consumer, home).DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{build}})
	require.NoError(t, err)
	require.Len(t, out.Images, 1, "once, however often it is shared")
	require.Empty(t, out.Images[0].Tags, "4.12")
	_, e := w.put(w.ssm(consumer, home), "/default", id, asImage)
	require.Empty(t, e)
	w.await(func() bool {
		i, err := w.ec2(consumer, home).DescribeImages(w.ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
		return err == nil && len(i.Images) == 1
	})
	_, err = w.ec2(stranger, home).CopyImage(w.ctx, &ec2.CopyImageInput{Name: aws.String("mine"), SourceImageId: &id, SourceRegion: aws.String(home)})
	require.Equal(t, "InvalidRequest", code(err), "4.6: snapshots cannot be shared with organizations, so it cannot be copied")
	_, err = owner.DisableImage(w.ctx, &ec2.DisableImageInput{ImageId: &id})
	require.NoError(t, err)
	require.False(t, w.reaches(stranger, id), "6.4: disabling drops these shares too")
}

// reaches: the account sees the image by id, finds it by owner and as executable by itself, and can launch it; or none of these.
func (w *world) reaches(account, id string) bool {
	w.t.Helper()
	c := w.ec2(account, home)
	_, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	sees := err == nil
	if !sees {
		require.Equal(w.t, "InvalidAMIID.NotFound", code(err))
	}
	for _, in := range []ec2.DescribeImagesInput{{Owners: []string{build}}, {ExecutableUsers: []string{"self"}}, {ExecutableUsers: []string{account}, Owners: []string{build}}} {
		out, err := c.DescribeImages(w.ctx, &in)
		require.NoError(w.t, err)
		require.Equal(w.t, sees, len(out.Images) == 1)
	}
	_, err = c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: &id, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1), DryRun: aws.Bool(true)})
	require.Equal(w.t, map[bool]string{true: "DryRunOperation", false: "InvalidAMIID.NotFound"}[sees], code(err))
	return sees
}

// 4.9: a key policy admits an organization by aws:PrincipalOrgID or a unit by aws:PrincipalOrgPaths.
func TestKeysOfOrganizations(t *testing.T) {
	w := organized(t)
	for condition, admits := range map[string][]string{
		`"StringEquals":{"aws:PrincipalOrgID":"o-abcdefghij"}`:                                                            {consumer, stranger},
		`"ForAnyValue:StringEquals":{"aws:PrincipalOrgPaths":["o-abcdefghij/r-ab12/ou-ab12-11111111/ou-ab12-22222222/"]}`: {consumer},
		`"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-abcdefghij/r-ab12/ou-ab12-11111111/*"]}`:                   {consumer},
		`"StringEquals":{"aws:PrincipalOrgID":"o-zzzzzzzzzz"}`:                                                            {},
	} {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + build + `:root"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":"*","Action":"kms:DescribeKey","Resource":"*","Condition":{` + condition + `}}]}`
		made, err := w.kms(build, home).CreateKey(w.ctx, &kms.CreateKeyInput{Policy: &policy})
		require.NoError(t, err)
		for _, account := range []string{consumer, stranger, "444444444444"} {
			_, err := w.kms(account, home).DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: made.KeyMetadata.Arn})
			want := "AccessDeniedException"
			for _, a := range admits {
				if a == account {
					want = ""
				}
			}
			require.Equal(t, want, code(err), "%s: %s", account, condition)
		}
	}
}

func TestParseOrganizations(t *testing.T) {
	for text, say := range map[string]string{
		"o-abcdefghij":         "ORGANIZATION[/ROOT",
		"o-short=222222222222": "ORGANIZATION[/ROOT",
		"o-abcdefghij/ou-ab12-11111111=222222222222": "ORGANIZATION[/ROOT", // a unit is below a root
		"o-abcdefghij=22222222222":                   "no account id of 12 digits",
		"o-abcdefghij=222222222222,":                 "no account id of 12 digits",
		"o-abcdefghij=222222222222,222222222222":     "an account is in one place",
	} {
		_, err := sandbox.ParseOrganizations([]string{text})
		require.ErrorContains(t, err, say, text)
	}
	o, err := sandbox.ParseOrganizations([]string{"o-abcdefghij/r-ab12/=333333333333,222222222222"})
	require.NoError(t, err)
	w := openWorld(t, sandbox.Options{Dir: t.TempDir(), Organizations: o})
	require.Equal(t, []string{"o-abcdefghij/r-ab12=222222222222,333333333333"}, w.cloud.Status().Organizations)
}
