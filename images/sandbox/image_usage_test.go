package sandbox_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

func TestImageReferences(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	id := w.image(c, "web-1")
	i := w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = &id })
	lt, err := c.CreateLaunchTemplate(w.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("web"), LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: &id}})
	require.NoError(t, err)
	w.pointer(build, "/imgops/acme/web", id)
	find := func(in ec2.DescribeImageReferencesInput) []string {
		in.ImageIds = []string{id}
		var arns []string
		pages := ec2.NewDescribeImageReferencesPaginator(c, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.ctx)
			require.NoError(t, err)
			for _, r := range page.ImageReferences {
				arns = append(arns, *r.Arn)
			}
		}
		return arns
	}
	place := home + ":" + build
	require.Equal(t, []string{"arn:aws:ec2:" + place + ":instance/" + *i.InstanceId, "arn:aws:ec2:" + place + ":launch-template/" + *lt.LaunchTemplate.LaunchTemplateId,
		"arn:aws:ssm:" + place + ":parameter/imgops/acme/web"}, find(ec2.DescribeImageReferencesInput{IncludeAllResourceTypes: aws.Bool(true), MaxResults: aws.Int32(1)}))
	instances := types.ResourceTypeRequest{ResourceType: "ec2:Instance", ResourceTypeOptions: []types.ResourceTypeOption{{OptionName: "state-name", OptionValues: []string{"stopped"}}}}
	require.Empty(t, find(ec2.DescribeImageReferencesInput{ResourceTypes: []types.ResourceTypeRequest{instances}}))

	for range 10 { // newer versions push the one with the image out of the default depth
		_, err := c.CreateLaunchTemplateVersion(w.ctx, &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateId: lt.LaunchTemplate.LaunchTemplateId,
			LaunchTemplateData: &types.RequestLaunchTemplateData{InstanceType: "t3.small"}})
		require.NoError(t, err)
	}
	templates := types.ResourceTypeRequest{ResourceType: "ec2:LaunchTemplate"}
	require.Empty(t, find(ec2.DescribeImageReferencesInput{ResourceTypes: []types.ResourceTypeRequest{templates}}), "6.10")
	templates.ResourceTypeOptions = []types.ResourceTypeOption{{OptionName: "version-depth", OptionValues: []string{"11"}}}
	require.Len(t, find(ec2.DescribeImageReferencesInput{ResourceTypes: []types.ResourceTypeRequest{templates}}), 1)

	_, err = c.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{*i.InstanceId}})
	require.NoError(t, err)
	w.awaitInstance(c, *i.InstanceId, types.InstanceStateNameTerminated)
	instances.ResourceTypeOptions = nil
	require.Len(t, find(ec2.DescribeImageReferencesInput{ResourceTypes: []types.ResourceTypeRequest{instances}}), 1, "6.10: in all states")
	_, err = c.DescribeImageReferences(w.ctx, &ec2.DescribeImageReferencesInput{ImageIds: []string{id}})
	require.Equal(t, "MissingParameter", code(err))

	_, err = c.DeregisterImage(w.ctx, &ec2.DeregisterImageInput{ImageId: &id})
	require.NoError(t, err)
	seen, err := c.DescribeInstanceImageMetadata(w.ctx, &ec2.DescribeInstanceImageMetadataInput{InstanceIds: []string{*i.InstanceId}})
	require.NoError(t, err)
	require.Equal(t, "web-1", *seen.InstanceImageMetadata[0].ImageMetadata.Name, "6.13: also after it is deregistered")
	require.Equal(t, types.ImageStateDeregistered, seen.InstanceImageMetadata[0].ImageMetadata.State)
}

func TestUsageReports(t *testing.T) {
	w := newWorld(t)
	c, theirs := w.ec2(build, home), w.ec2(consumer, home)
	id := w.image(c, "web-1")
	w.share(c, id, consumer)
	for range 2 {
		w.run(theirs, func(in *ec2.RunInstancesInput) { in.ImageId = &id })
	}
	w.run(c, func(in *ec2.RunInstancesInput) { in.ImageId = &id })
	_, err := theirs.CreateLaunchTemplate(w.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("web"), LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: &id}})
	require.NoError(t, err)

	both := []types.ImageUsageResourceTypeRequest{{ResourceType: aws.String("ec2:Instance")}, {ResourceType: aws.String("ec2:LaunchTemplate")}}
	made, err := c.CreateImageUsageReport(w.ctx, &ec2.CreateImageUsageReportInput{ImageId: &id, ResourceTypes: both})
	require.NoError(t, err)
	ids := []string{*made.ReportId}
	require.NoError(t, ec2.NewImageUsageReportAvailableWaiter(c, func(o *ec2.ImageUsageReportAvailableWaiterOptions) { o.MinDelay, o.MaxDelay = 1e6, 1e7 }).
		Wait(w.ctx, &ec2.DescribeImageUsageReportsInput{ReportIds: ids}, 1e10))
	entries, err := c.DescribeImageUsageReportEntries(w.ctx, &ec2.DescribeImageUsageReportEntriesInput{ReportIds: ids})
	require.NoError(t, err)
	counts := map[string]int64{}
	for _, e := range entries.ImageUsageReportEntries {
		counts[*e.AccountId+" "+*e.ResourceType] = *e.UsageCount
	}
	require.Equal(t, map[string]int64{consumer + " ec2:Instance": 2, consumer + " ec2:LaunchTemplate": 1}, counts, "6.11: other accounts, and counts only")

	_, err = theirs.CreateImageUsageReport(w.ctx, &ec2.CreateImageUsageReportInput{ImageId: &id, ResourceTypes: both})
	require.Equal(t, "AuthFailure", code(err), "the owner's only")
	_, err = c.CreateImageUsageReport(w.ctx, &ec2.CreateImageUsageReportInput{ImageId: &id, ResourceTypes: []types.ImageUsageResourceTypeRequest{{ResourceType: aws.String("ssm:Parameter")}}})
	require.Equal(t, "InvalidParameterValue", code(err))
	_, err = c.DeleteImageUsageReport(w.ctx, &ec2.DeleteImageUsageReportInput{ReportId: made.ReportId})
	require.NoError(t, err)
	_, err = c.DescribeImageUsageReports(w.ctx, &ec2.DescribeImageUsageReportsInput{ReportIds: ids})
	require.Equal(t, "InvalidImageUsageReportId.NotFound", code(err))
}

func TestTheNetworkAsClientsLookAtIt(t *testing.T) {
	w := newWorld(t)
	c := w.ec2(build, home)
	i := w.run(c, func(in *ec2.RunInstancesInput) {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: aws.String("web")}
	})
	require.Equal(t, "arn:aws:iam::"+build+":instance-profile/web", *i.IamInstanceProfile.Arn)
	_, err := c.RunInstances(w.ctx, &ec2.RunInstancesInput{ImageId: i.ImageId, InstanceType: "t3.small", MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		IamInstanceProfile: &types.IamInstanceProfileSpecification{Arn: aws.String("arn:aws:iam::" + consumer + ":instance-profile/web")}})
	require.Equal(t, "InvalidParameterValue", code(err))

	eni, err := c.DescribeNetworkInterfaces(w.ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{filter("attachment.instance-id", *i.InstanceId)}})
	require.NoError(t, err)
	require.Len(t, eni.NetworkInterfaces, 1)
	require.Equal(t, *i.InstanceId, *eni.NetworkInterfaces[0].Attachment.InstanceId)
	require.Equal(t, *i.PrivateIpAddress, *eni.NetworkInterfaces[0].PrivateIpAddress)
	_, err = c.DescribeNetworkInterfaces(w.ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-11111111"}})
	require.Equal(t, "InvalidNetworkInterfaceID.NotFound", code(err))
	credits, err := c.DescribeInstanceCreditSpecifications(w.ctx, &ec2.DescribeInstanceCreditSpecificationsInput{InstanceIds: []string{*i.InstanceId}})
	require.NoError(t, err)
	require.Equal(t, "unlimited", *credits.InstanceCreditSpecifications[0].CpuCredits)
	dns, err := c.DescribeVpcAttribute(w.ctx, &ec2.DescribeVpcAttributeInput{VpcId: i.VpcId, Attribute: "enableDnsSupport"})
	require.NoError(t, err)
	require.True(t, *dns.EnableDnsSupport.Value)
	routes, err := c.DescribeRouteTables(w.ctx, &ec2.DescribeRouteTablesInput{Filters: []types.Filter{filter("vpc-id", *i.VpcId), filter("association.main", "true")}})
	require.NoError(t, err)
	gateways, err := c.DescribeInternetGateways(w.ctx, &ec2.DescribeInternetGatewaysInput{Filters: []types.Filter{filter("attachment.vpc-id", *i.VpcId)}})
	require.NoError(t, err)
	require.Equal(t, *gateways.InternetGateways[0].InternetGatewayId, *routes.RouteTables[0].Routes[1].GatewayId)
}
