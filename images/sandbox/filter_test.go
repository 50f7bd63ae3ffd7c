package sandbox_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

// element is any XML element.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// at are the elements at a path of names.
func (e element) at(path string) (out []element) {
	if path == "" {
		return []element{e}
	}
	name, rest, _ := strings.Cut(path, "/")
	for _, c := range e.Children {
		if c.XMLName.Local == name {
			out = append(out, c.at(rest)...)
		}
	}
	return out
}

// query makes a call of EC2 with the parameters as they are.
func (w *world) query(action string, params url.Values) element {
	w.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	maps.Copy(form, params)
	body := []byte(form.Encode())
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.url+"/", bytes.NewReader(body))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: "SANDBOX" + build, SecretAccessKey: "sandbox"}
	require.NoError(w.t, v4.NewSigner().SignHTTP(w.ctx, key, r, hex.EncodeToString(sum[:]), "ec2", home, time.Now()))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, resp.StatusCode, string(answer))
	var out element
	require.NoError(w.t, xml.Unmarshal(answer, &out))
	return out
}

// filterTarget is the one thing that the filters of a call are tried on: where it is in the answer, the element that tells it from others, its value
// there, and parameters that the call needs.
type filterTarget struct {
	items, by, id string
	params        url.Values
}

// filterTargets makes one of everything, with all that a filter can look at.
func (w *world) filterTargets() map[string]filterTarget {
	w.t.Helper()
	c := w.ec2(build, home)
	must := func(err error) { w.t.Helper(); require.NoError(w.t, err) }
	group, err := c.CreateSecurityGroup(w.ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("web"), Description: aws.String("for web")})
	must(err)
	_, err = c.AuthorizeSecurityGroupIngress(w.ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(23), IpRanges: []types.IpRange{{CidrIp: aws.String("10.1.0.0/16")}},
			UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: group.GroupId}}}}})
	must(err)
	key, err := c.CreateKeyPair(w.ctx, &ec2.CreateKeyPairInput{KeyName: aws.String("me"), KeyType: types.KeyTypeEd25519})
	must(err)
	profile := &types.IamInstanceProfileSpecification{Arn: aws.String("arn:aws:iam::" + build + ":instance-profile/web")}
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.SecurityGroupIds, in.KeyName, in.ClientToken, in.IamInstanceProfile = []string{*group.GroupId}, key.KeyName, aws.String("once"), profile
		in.TagSpecifications = []types.TagSpecification{tagged(types.ResourceTypeInstance, "role", "web")}
	})
	other := w.run(c, nil)
	spot := w.run(c, func(in *ec2.RunInstancesInput) {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot}
	})
	made, err := c.CreateImage(w.ctx, &ec2.CreateImageInput{InstanceId: i.InstanceId, Name: aws.String("web-1"), Description: aws.String("an image")})
	must(err)
	snapshot := *w.awaitImage(c, *made.ImageId, types.ImageStateAvailable).BlockDeviceMappings[0].Ebs.SnapshotId
	template, err := c.CreateLaunchTemplate(w.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("template"), LaunchTemplateData: &types.RequestLaunchTemplateData{
		ImageId: made.ImageId, InstanceType: "t3.small", EbsOptimized: aws.Bool(true),
		IamInstanceProfile: &types.LaunchTemplateIamInstanceProfileSpecificationRequest{Arn: profile.Arn}}})
	must(err)
	w.share(c, *made.ImageId, consumer)
	w.run(w.ec2(consumer, home), func(in *ec2.RunInstancesInput) { in.ImageId = made.ImageId })
	report, err := c.CreateImageUsageReport(w.ctx, &ec2.CreateImageUsageReportInput{ImageId: made.ImageId, ResourceTypes: []types.ImageUsageResourceTypeRequest{{ResourceType: aws.String("ec2:Instance")}}})
	must(err)
	w.await(func() bool {
		out, err := c.DescribeImageUsageReports(w.ctx, &ec2.DescribeImageUsageReportsInput{ReportIds: []string{*report.ReportId}})
		return err == nil && *out.ImageUsageReports[0].State == "available"
	})
	rules, err := c.DescribeSecurityGroupRules(w.ctx, &ec2.DescribeSecurityGroupRulesInput{Filters: []types.Filter{filter("group-id", *group.GroupId)}})
	must(err)
	network := func(action, items, by string) filterTarget { // what every account has one of
		return filterTarget{items, by, w.query(action, nil).at(items + "/" + by)[0].Text, nil}
	}
	_ = other // what no filter for i finds, unless it should
	return map[string]filterTarget{
		"DescribeImages":                         {"imagesSet/item", "imageId", *made.ImageId, nil},
		"DescribeInstances":                      {"reservationSet/item/instancesSet/item", "instanceId", *i.InstanceId, nil},
		"DescribeInstanceStatus":                 {"instanceStatusSet/item", "instanceId", *i.InstanceId, nil},
		"DescribeIamInstanceProfileAssociations": {"iamInstanceProfileAssociationSet/item", "instanceId", *i.InstanceId, nil},
		"DescribeVolumes":                        {"volumeSet/item", "volumeId", *i.BlockDeviceMappings[0].Ebs.VolumeId, nil},
		"DescribeSnapshots":                      {"snapshotSet/item", "snapshotId", snapshot, nil},
		"DescribeSecurityGroups":                 {"securityGroupInfo/item", "groupId", *group.GroupId, nil},
		"DescribeSecurityGroupRules":             {"securityGroupRuleSet/item", "securityGroupRuleId", *rules.SecurityGroupRules[0].SecurityGroupRuleId, nil},
		"DescribeKeyPairs":                       {"keySet/item", "keyPairId", *key.KeyPairId, nil},
		"DescribeNetworkInterfaces":              {"networkInterfaceSet/item", "networkInterfaceId", *i.NetworkInterfaces[0].NetworkInterfaceId, nil},
		"DescribeVpcs":                           network("DescribeVpcs", "vpcSet/item", "vpcId"),
		"DescribeSubnets":                        network("DescribeSubnets", "subnetSet/item", "subnetId"),
		"DescribeRouteTables":                    network("DescribeRouteTables", "routeTableSet/item", "routeTableId"),
		"DescribeInternetGateways":               network("DescribeInternetGateways", "internetGatewaySet/item", "internetGatewayId"),
		"DescribeRegions":                        {"regionInfo/item", "regionName", home, nil},
		"DescribeAvailabilityZones":              {"availabilityZoneInfo/item", "zoneName", home + "a", nil},
		"DescribeTags":                           {"tagSet/item", "resourceId", *i.InstanceId, nil},
		"DescribeLaunchTemplates":                {"launchTemplates/item", "launchTemplateId", *template.LaunchTemplate.LaunchTemplateId, nil},
		"DescribeLaunchTemplateVersions":         {"launchTemplateVersionSet/item", "versionNumber", "1", url.Values{"LaunchTemplateName": {"template"}}},
		"DescribeInstanceTypes":                  {"instanceTypeSet/item", "instanceType", "t3.small", nil},
		"DescribeInstanceTypeOfferings":          {"instanceTypeOfferingSet/item", "instanceType", "t3.small", nil},
		"DescribeSpotInstanceRequests":           {"spotInstanceRequestSet/item", "spotInstanceRequestId", *spot.SpotInstanceRequestId, nil},
		"DescribeImageUsageReports":              {"imageUsageReportSet/item", "reportId", *report.ReportId, nil},
		"DescribeImageUsageReportEntries":        {"imageUsageReportEntrySet/item", "reportId", *report.ReportId, nil},
	}
}

// finds says whether the call shows its target under a filter.
func (w *world) finds(action string, target filterTarget, name, value string) bool {
	w.t.Helper()
	params := url.Values{"Filter.1.Name": {name}, "Filter.1.Value.1": {"nothing is this"}, "Filter.1.Value.2": {value}}
	maps.Copy(params, target.params)
	return slices.ContainsFunc(w.query(action, params).at(target.items+"/"+target.by), func(e element) bool { return e.Text == target.id })
}

// reservation is that of an instance.
func (w *world) reservation(instance string) string {
	w.t.Helper()
	out, err := w.ec2(build, home).DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
	require.NoError(w.t, err)
	return *out.Reservations[0].ReservationId
}

// TestEveryFilter: each filter of each call finds what has the value, also by a wildcard, and does not find what has another. What nothing has
// finds nothing, and a filter that is not in the table fails.
func TestEveryFilter(t *testing.T) {
	w := newWorld(t)
	targets := w.filterTargets()
	for action, names := range sandbox.Filters() {
		table, target := filterTable[action], targets[action]
		slices.Sort(names)
		require.Equal(t, names, slices.Sorted(maps.Keys(table)), action)
		var item element
		for _, e := range w.query(action, target.params).at(target.items) {
			if id := e.at(target.by); len(id) > 0 && id[0].Text == target.id {
				item = e
			}
		}
		require.NotEmpty(t, item.Children, "%s does not show %s", action, target.id)
		for _, name := range names {
			what := action + " " + name
			value, literal := strings.CutPrefix(table[name], "=")
			switch {
			case table[name] == "":
				require.False(t, w.finds(action, target, name, "*"), what)
				continue
			case !literal:
				at := item.at(value)
				require.NotEmpty(t, at, "%s: the answer has no %s", what, value)
				value = at[0].Text
			}
			if value == reservationOfTarget {
				value = w.reservation(target.id)
			}
			require.NotEmpty(t, value, what)
			require.True(t, w.finds(action, target, name, value), "%s = %s", what, value)
			require.True(t, w.finds(action, target, name, value[:1]+"*"), "%s = %s", what, value[:1]+"*")
			require.True(t, w.finds(action, target, name, "?"+strings.ReplaceAll(value[1:], "*", "?*")), "%s: ?%s", what, value[1:])
			for _, no := range []string{value + "?", "x" + value, strings.ToUpper(value) + "X", fmt.Sprint(value, `\*`)} {
				require.False(t, w.finds(action, target, name, no), "%s = %s", what, no)
			}
		}
	}
}
