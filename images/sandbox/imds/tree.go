package imds

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// versions are those that EC2 lists at the root. All serve the same tree, less what a later one added.
var versions = []string{
	"1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04",
	"2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30",
	"2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23",
	"2021-07-15", "2022-09-24", "2024-04-11", "latest",
}

// tagsSince is the version that added tags/instance.
const tagsSince = "2021-03-23"

func known(version string) bool { return slices.Contains(versions, version) }

// node is a directory (children set) or a value.
type node struct {
	text     string
	children map[string]node
	listing  []string // what a directory shows instead of its children's names
}

func leaf(text string) node { return node{text: text} }

func dir(children map[string]node) node {
	for name, n := range children {
		if n.children == nil && n.text == "" {
			delete(children, name) // EC2 leaves out what an instance has not
		}
	}
	return node{children: children}
}

// find walks path; a slash at the end makes no difference, as on EC2.
func (n node) find(path string) (node, bool) {
	for _, name := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
		if name == "" && path == "" {
			break
		}
		child, ok := n.children[name]
		if !ok {
			return node{}, false
		}
		n = child
	}
	return n, true
}

// String is the value, or the listing of a directory: one name a line, those of directories with a slash, no newline at the end.
func (n node) String() string {
	if n.children == nil {
		return n.text
	}
	if n.listing != nil {
		return strings.Join(n.listing, "\n")
	}
	names := slices.Sorted(maps.Keys(n.children))
	for i, name := range names {
		if n.children[name].children != nil {
			names[i] = name + "/"
		}
	}
	return strings.Join(names, "\n")
}

func tree(d Document, version string) node {
	top := dir(map[string]node{
		"dynamic":   dir(map[string]node{"instance-identity": dir(map[string]node{"document": leaf(identity(d))})}),
		"meta-data": metadata(d, version),
		"user-data": leaf(string(d.UserData)),
	})
	// The top level is the one that EC2 lists without slashes.
	top.listing = slices.Sorted(maps.Keys(top.children))
	return top
}

func metadata(d Document, version string) node {
	m := map[string]node{
		"ami-id":               leaf(d.ImageID),
		"ami-launch-index":     leaf(strconv.Itoa(d.AmiLaunchIndex)),
		"ami-manifest-path":    leaf("(unknown)"),
		"block-device-mapping": devices(d),
		"hostname":             leaf(d.LocalHostname),
		"instance-action":      leaf("none"),
		"instance-id":          leaf(d.InstanceID),
		"instance-life-cycle":  leaf(lifeCycle(d)),
		"instance-type":        leaf(d.InstanceType),
		"local-hostname":       leaf(d.LocalHostname),
		"local-ipv4":           leaf(d.PrivateIP),
		"mac":                  leaf(d.MAC),
		"network":              network(d),
		"placement":            placement(d),
		"profile":              leaf("default-hvm"),
		"reservation-id":       leaf(d.ReservationID),
		"security-groups":      leaf(strings.Join(d.SecurityGroups, "\n")),
		"services":             dir(map[string]node{"domain": leaf(domain(d.Region)), "partition": leaf(partition(d.Region))}),
		"system":               leaf("nitro"),
	}
	if len(d.PublicKeys) > 0 {
		m["public-keys"] = publicKeys(d.PublicKeys)
	}
	if d.Tags != nil && version >= tagsSince {
		m["tags"] = dir(map[string]node{"instance": tags(d.Tags)})
	}
	return dir(m)
}

// devices are the root, and ebs1, ebs2, ... as far as there are other EBS volumes, whose names come without their directory (User Guide,
// "Instance metadata categories"; cloud-init's DataSourceEc2 puts /dev/ before such a name).
func devices(d Document) node {
	root := cmp.Or(d.RootDevice, "/dev/xvda")
	all := map[string]node{"ami": leaf(root), "root": leaf(root)}
	for n, name := range d.EBSDevices {
		all["ebs"+strconv.Itoa(n+1)] = leaf(strings.TrimPrefix(name, "/dev/"))
	}
	return dir(all)
}

func lifeCycle(d Document) string {
	if d.Spot {
		return "spot"
	}
	return "on-demand"
}

func network(d Document) node {
	nic := dir(map[string]node{
		"device-number":          leaf("0"),
		"interface-id":           leaf(d.InterfaceID),
		"local-hostname":         leaf(d.LocalHostname),
		"local-ipv4s":            leaf(d.PrivateIP),
		"mac":                    leaf(d.MAC),
		"owner-id":               leaf(d.AccountID),
		"security-group-ids":     leaf(strings.Join(d.SecurityGroupIDs, "\n")),
		"security-groups":        leaf(strings.Join(d.SecurityGroups, "\n")),
		"subnet-id":              leaf(d.SubnetID),
		"subnet-ipv4-cidr-block": leaf(d.SubnetCIDR),
		"vpc-id":                 leaf(d.VPCID),
		"vpc-ipv4-cidr-block":    leaf(d.VPCCIDR),
		"vpc-ipv4-cidr-blocks":   leaf(d.VPCCIDR),
	})
	return dir(map[string]node{"interfaces": dir(map[string]node{"macs": dir(map[string]node{d.MAC: nic})})})
}

func placement(d Document) node {
	return dir(map[string]node{"availability-zone": leaf(d.AvailabilityZone), "region": leaf(d.Region)})
}

// publicKeys lists as "0=name", which is how EC2 tells the name of a key.
func publicKeys(keys []PublicKey) node {
	n := node{children: map[string]node{}}
	for i, k := range keys {
		index := strconv.Itoa(i)
		n.children[index] = dir(map[string]node{"openssh-key": leaf(strings.TrimSpace(k.OpenSSH))})
		n.listing = append(n.listing, index+"="+k.Name)
	}
	return n
}

// tags keeps those with an empty value, which dir would leave out.
func tags(all map[string]string) node {
	n := node{children: make(map[string]node, len(all))}
	for key, value := range all {
		n.children[key] = leaf(value)
	}
	return n
}

func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

func domain(region string) string {
	if partition(region) == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// identity is the instance identity document (User Guide, "Instance identity documents").
func identity(d Document) string {
	pending := d.PendingTime
	if pending.IsZero() {
		pending = d.LaunchTime
	}
	doc := struct {
		AccountID               string   `json:"accountId"`
		Architecture            string   `json:"architecture"`
		AvailabilityZone        string   `json:"availabilityZone"`
		BillingProducts         []string `json:"billingProducts"`
		DevpayProductCodes      []string `json:"devpayProductCodes"`
		MarketplaceProductCodes []string `json:"marketplaceProductCodes"`
		ImageID                 string   `json:"imageId"`
		InstanceID              string   `json:"instanceId"`
		InstanceType            string   `json:"instanceType"`
		KernelID                *string  `json:"kernelId"`
		PendingTime             string   `json:"pendingTime"`
		PrivateIP               string   `json:"privateIp"`
		RamdiskID               *string  `json:"ramdiskId"`
		Region                  string   `json:"region"`
		Version                 string   `json:"version"`
	}{
		AccountID: d.AccountID, Architecture: d.Architecture, AvailabilityZone: d.AvailabilityZone, ImageID: d.ImageID,
		InstanceID: d.InstanceID, InstanceType: d.InstanceType, PendingTime: pending.UTC().Format(time.RFC3339),
		PrivateIP: d.PrivateIP, Region: d.Region, Version: "2017-09-30",
	}
	out, _ := json.MarshalIndent(doc, "", "  ") // strings only: cannot go wrong
	return string(out)
}
