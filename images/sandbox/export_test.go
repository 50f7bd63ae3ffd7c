package sandbox

import (
	"maps"
	"slices"
)

// Actions are all calls that the sandbox has, as service:Action, so that a test of a client can show that it made each.
func Actions() []string {
	var out []string
	for _, services := range []map[string]map[string]action{queryServices, jsonServices} {
		for service, table := range services {
			for name := range maps.Keys(table) {
				out = append(out, service+":"+name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// EndpointOf is the service, Region and bucket in the name of a host of AWS, or "".
func EndpointOf(host string) string {
	e, ok := endpointOf(host)
	if !ok {
		return ""
	}
	return e.Service + " " + e.Region + " " + e.Bucket
}

// Filters are the filters that each call of EC2 has, without those of tags.
func Filters() map[string][]string {
	all := map[string][]string{
		"DescribeSecurityGroups": named(groupFilters), "DescribeSecurityGroupRules": named(ruleFilters), "DescribeImages": append(named(imageFilters), "image-allowed"),
		"DescribeImageUsageReports": named(reportFilters), "DescribeImageUsageReportEntries": named(entryFilters),
		"DescribeInstances":                      named((&call{}).instanceFilters()),
		"DescribeIamInstanceProfileAssociations": named(profileFilters), "DescribeInstanceStatus": named(statusFilters),
		"DescribeInstanceTypes": named(typeFilters), "DescribeInstanceTypeOfferings": named(offeringFilters), "DescribeKeyPairs": named(keyFilters),
		"DescribeVpcs": named(vpcFilters), "DescribeSubnets": named(subnetFilters), "DescribeNetworkInterfaces": named(interfaceFilters),
		"DescribeRouteTables": named(routeTableFilters), "DescribeInternetGateways": named(gatewayFilters), "DescribeRegions": named(regionFilters),
		"DescribeAvailabilityZones": named(zoneFilters), "DescribeSnapshots": named(snapshotFilters), "DescribeTags": named(tagFilters),
		"DescribeLaunchTemplates": named(templateFilters), "DescribeLaunchTemplateVersions": named(versionFilters), "DescribeVolumes": named(volumeFilters),
		"DescribeSpotInstanceRequests": named(spotFilters),
	}
	return all
}

func named[T any](f fields[T]) []string { return slices.Collect(maps.Keys(f)) }
