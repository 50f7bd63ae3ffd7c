package sandbox

import (
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
)

// region is one Region of the aws partition. Regions that one must opt in to on AWS are opted in here.
type region struct {
	Name, ZoneID, Zones string
	OptIn               bool
}

// regionTable follows docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html.
var regionTable = []region{
	{"us-east-1", "use1", "abcdef", false}, {"us-east-2", "use2", "abc", false},
	{"us-west-1", "usw1", "ab", false}, {"us-west-2", "usw2", "abcd", false},
	{"ca-central-1", "cac1", "abd", false}, {"sa-east-1", "sae1", "abc", false},
	{"eu-west-1", "euw1", "abc", false}, {"eu-west-2", "euw2", "abc", false}, {"eu-west-3", "euw3", "abc", false},
	{"eu-central-1", "euc1", "abc", false}, {"eu-north-1", "eun1", "abc", false},
	{"ap-northeast-1", "apne1", "acd", false}, {"ap-northeast-2", "apne2", "abcd", false}, {"ap-northeast-3", "apne3", "abc", false},
	{"ap-south-1", "aps1", "abc", false}, {"ap-southeast-1", "apse1", "abc", false}, {"ap-southeast-2", "apse2", "abc", false},
	{"af-south-1", "afs1", "abc", true}, {"ap-east-1", "ape1", "abc", true}, {"ap-south-2", "aps2", "abc", true},
	{"ap-southeast-3", "apse3", "abc", true}, {"ap-southeast-4", "apse4", "abc", true}, {"ca-west-1", "caw1", "abc", true},
	{"eu-central-2", "euc2", "abc", true}, {"eu-south-1", "eus1", "abc", true}, {"eu-south-2", "eus2", "abc", true},
	{"il-central-1", "ilc1", "abc", true}, {"me-central-1", "mec1", "abc", true}, {"me-south-1", "mes1", "abc", true},
}

func regionByName(name string) (region, bool) {
	for _, r := range regionTable {
		if r.Name == name {
			return r, true
		}
	}
	return region{}, false
}

func (r region) optIn() string {
	if r.OptIn {
		return "opted-in"
	}
	return "opt-in-not-required"
}

// zone is an Availability Zone of a Region.
type zone struct {
	Name, ID string
	index    int
}

func (r region) zones() []zone {
	var out []zone
	for i, letter := range r.Zones {
		out = append(out, zone{r.Name + string(letter), r.ZoneID + "-az" + number(int32(i+1)), i})
	}
	return out
}

type regionItem struct {
	OptInStatus string `xml:"optInStatus"`
	Name        string `xml:"regionName"`
	Endpoint    string `xml:"regionEndpoint"`
}

type describeRegionsRequest struct {
	RegionName []string
	AllRegions bool
	Filter     []filterParam
}

type describeRegionsAnswer struct {
	Regions query.List[regionItem] `xml:"regionInfo"`
}

var regionFilters = fields[regionItem]{
	"region-name":   one(func(r *regionItem) string { return r.Name }),
	"endpoint":      one(func(r *regionItem) string { return r.Endpoint }),
	"opt-in-status": one(func(r *regionItem) string { return r.OptInStatus }),
}

func describeRegions(_ *call, in *describeRegionsRequest) (*describeRegionsAnswer, error) {
	match, err := filters(in.Filter, regionFilters, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range in.RegionName {
		if _, ok := regionByName(name); !ok {
			return nil, badParameter(name, "region", "Invalid region provided.")
		}
	}
	out := &describeRegionsAnswer{}
	wanted := patterns(in.RegionName)
	for _, r := range regionTable {
		item := regionItem{r.optIn(), r.Name, "ec2." + r.Name + ".amazonaws.com"}
		if (len(in.RegionName) == 0 || wanted(r.Name)) && match.match(&item) {
			out.Regions.Items = append(out.Regions.Items, item)
		}
	}
	return out, nil
}

type zoneItem struct {
	OptInStatus string               `xml:"optInStatus"`
	Messages    query.List[struct{}] `xml:"messageSet"`
	Region      string               `xml:"regionName"`
	Name        string               `xml:"zoneName"`
	ID          string               `xml:"zoneId"`
	Group       string               `xml:"groupName"`
	Border      string               `xml:"networkBorderGroup"`
	Type        string               `xml:"zoneType"`
	State       string               `xml:"zoneState"`
}

type describeZonesRequest struct {
	ZoneName, ZoneId     []string
	AllAvailabilityZones bool
	Filter               []filterParam
}

type describeZonesAnswer struct {
	Zones query.List[zoneItem] `xml:"availabilityZoneInfo"`
}

var zoneFilters = fields[zoneItem]{
	"zone-name":            one(func(z *zoneItem) string { return z.Name }),
	"zone-id":              one(func(z *zoneItem) string { return z.ID }),
	"region-name":          one(func(z *zoneItem) string { return z.Region }),
	"state":                one(func(z *zoneItem) string { return z.State }),
	"zone-type":            one(func(z *zoneItem) string { return z.Type }),
	"opt-in-status":        one(func(z *zoneItem) string { return z.OptInStatus }),
	"group-name":           one(func(z *zoneItem) string { return z.Group }),
	"network-border-group": one(func(z *zoneItem) string { return z.Border }),
}

func describeAvailabilityZones(q *call, in *describeZonesRequest) (*describeZonesAnswer, error) {
	match, err := filters(in.Filter, zoneFilters, nil)
	if err != nil {
		return nil, err
	}
	r, _ := regionByName(q.Region)
	out, found := &describeZonesAnswer{}, map[string]bool{}
	byName, byID := patterns(in.ZoneName), patterns(in.ZoneId)
	for _, z := range r.zones() {
		item := zoneItem{OptInStatus: "opt-in-not-required", Region: r.Name, Name: z.Name, ID: z.ID, Group: r.Name + "-zg-1",
			Border: r.Name, Type: "availability-zone", State: "available"}
		found[z.Name], found[z.ID] = true, true
		all := len(in.ZoneName)+len(in.ZoneId) == 0
		if (all || byName(z.Name) || byID(z.ID)) && match.match(&item) {
			out.Zones.Items = append(out.Zones.Items, item)
		}
	}
	for _, name := range append(in.ZoneName, in.ZoneId...) {
		if !found[name] {
			return nil, fail("InvalidParameterValue", "Invalid availability zone: [%s]; %s has %s", name, r.Name, strings.Join(zoneNames(r), ", "))
		}
	}
	return out, nil
}

func zoneNames(r region) []string {
	var names []string
	for _, z := range r.zones() {
		names = append(names, z.Name)
	}
	return names
}
