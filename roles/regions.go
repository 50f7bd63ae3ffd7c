package roles

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// regions are those that AWS has. Source: internal/endpoints/awsrulesfn/partitions.json of aws-sdk-go-v2 v1.47.6,
// every partition, less the pseudo Regions that stand for a global endpoint. A Region newer than this list needs a
// newer imgops: an unknown name is far more often a slip, and a slip found by EC2 is found after machines ran.
var regions = []string{
	// aws
	"af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2",
	"eu-west-3", "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1",
	"us-west-2",
	"cn-north-1", "cn-northwest-1", // aws-cn
	"eusc-de-east-1",                 // aws-eusc
	"us-iso-east-1", "us-iso-west-1", // aws-iso
	"us-isob-east-1", "us-isob-west-1", // aws-iso-b
	"eu-isoe-west-1",                    // aws-iso-e
	"us-isof-east-1", "us-isof-south-1", // aws-iso-f
	"us-gov-east-1", "us-gov-west-1", // aws-us-gov
}

// region reads the name of a Region that exists.
func (s *source) region(n *yaml.Node, what string) (string, bool) {
	v, ok := s.text(n, what)
	if !ok || slices.Contains(regions, v) {
		return v, ok
	}
	zone := strings.TrimRight(v, "abcdef")
	near := nearest(v, regions)
	message, fix := "is not a Region name", "write a Region's name such as us-east-1"
	if near != "" {
		fix = "did you mean " + near + "?"
	}
	switch {
	case slices.Contains(regions, zone):
		fix = fmt.Sprintf("write the Region %s, not an availability zone", zone)
	case regionForm().MatchString(v):
		message = "is not a Region that AWS has"
		const newer = "update imgops if the Region is newer than it"
		if fix = newer; near != "" {
			fix = "did you mean " + near + "? Otherwise " + newer
		}
	}
	s.add(at(n), fmt.Sprintf("%s %q %s", what, v, message), fix)
	return "", false
}
