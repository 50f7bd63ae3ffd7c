package sandbox

import (
	"net/netip"

	"github.com/imgops/imgops/images/sandbox/query"
)

// The network is the same everywhere: a default VPC with a default subnet per zone. All of them lie in the driver's one
// network, so that machines of every account can be reached; addresses are unique over the whole sandbox.

type vpcItem struct {
	OwnerID   string              `xml:"ownerId"`
	Tenancy   string              `xml:"instanceTenancy"`
	CIDRs     query.List[vpcCIDR] `xml:"cidrBlockAssociationSet"`
	IsDefault bool                `xml:"isDefault"`
	Tags      query.List[tagItem] `xml:"tagSet"`
	ID        string              `xml:"vpcId"`
	State     string              `xml:"state"`
	CIDR      string              `xml:"cidrBlock"`
	DHCP      string              `xml:"dhcpOptionsId"`
	tags      map[string]string
}

type vpcCIDR struct {
	ID    string `xml:"associationId"`
	CIDR  string `xml:"cidrBlock"`
	State string `xml:"cidrBlockState>state"`
}

type subnetItem struct {
	ZoneID      string              `xml:"availabilityZoneId"`
	OwnerID     string              `xml:"ownerId"`
	AssignIPv6  bool                `xml:"assignIpv6AddressOnCreation"`
	IPv6        query.List[string]  `xml:"ipv6CidrBlockAssociationSet"`
	Tags        query.List[tagItem] `xml:"tagSet"`
	ARN         string              `xml:"subnetArn"`
	DNS64       bool                `xml:"enableDns64"`
	IPv6Native  bool                `xml:"ipv6Native"`
	ID          string              `xml:"subnetId"`
	State       string              `xml:"state"`
	VpcID       string              `xml:"vpcId"`
	CIDR        string              `xml:"cidrBlock"`
	Free        int                 `xml:"availableIpAddressCount"`
	Zone        string              `xml:"availabilityZone"`
	DefaultForZ bool                `xml:"defaultForAz"`
	PublicIP    bool                `xml:"mapPublicIpOnLaunch"`
	tags        map[string]string
	prefix      netip.Prefix
}

func vpcID(p place) string { return hashID("vpc-", p.key()) }

func (q *call) defaultVPC() vpcItem {
	id, cidr := vpcID(q.place), q.network.Masked().String()
	tags := q.ownTags(id)
	return vpcItem{OwnerID: q.Account, Tenancy: "default", IsDefault: true, Tags: tagSet(tags), tags: tags, ID: id,
		State: "available", CIDR: cidr, DHCP: hashID("dopt-", q.key()),
		CIDRs: query.List[vpcCIDR]{Items: []vpcCIDR{{hashID("vpc-cidr-assoc-", q.key()), cidr, "associated"}}}}
}

func (q *call) subnets() []subnetItem {
	r, _ := regionByName(q.Region)
	used := q.addresses()
	var out []subnetItem
	for _, z := range r.zones() {
		id, prefix := hashID("subnet-", q.key(z.Name)), subnetPrefix(q.network, z.index)
		tags := q.ownTags(id)
		taken := 0
		for address := range used {
			if prefix.Contains(address) {
				taken++
			}
		}
		out = append(out, subnetItem{ZoneID: z.ID, OwnerID: q.Account, Tags: tagSet(tags), tags: tags, ID: id, State: "available",
			ARN: "arn:aws:ec2:" + q.Region + ":" + q.Account + ":subnet/" + id, VpcID: vpcID(q.place), CIDR: prefix.String(),
			Free: 1<<(32-prefix.Bits()) - 5 - taken, Zone: z.Name, DefaultForZ: true, PublicIP: true, prefix: prefix})
	}
	return out
}

func (q *call) subnet(id string) (subnetItem, bool) {
	for _, s := range q.subnets() {
		if s.ID == id {
			return s, true
		}
	}
	return subnetItem{}, false
}

// subnetPrefix cuts the network into eight subnets, of which a Region uses as many as it has zones. A network too small
// to be cut is every zone's subnet.
func subnetPrefix(network netip.Prefix, index int) netip.Prefix {
	bits := network.Bits() + 3
	if bits > 28 {
		return network.Masked()
	}
	a := network.Masked().Addr().As4()
	n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	n += uint32(index) << (32 - bits)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), bits)
}

// addresses are those of all instances that are not terminated, of every account.
func (q *call) addresses() map[netip.Addr]bool {
	used := map[netip.Addr]bool{}
	for _, i := range q.instances.Scan(q.tx, "alive") {
		if a, err := netip.ParseAddr(i.Address); err == nil {
			used[a] = true
		}
	}
	return used
}

// freeAddress is the lowest unused address of the subnet; like EC2 it leaves out the first four and the last.
func freeAddress(subnet netip.Prefix, used map[netip.Addr]bool) (netip.Addr, bool) {
	a := subnet.Addr()
	for range 4 {
		a = a.Next()
	}
	for ; subnet.Contains(a.Next()); a = a.Next() {
		if !used[a] {
			return a, true
		}
	}
	return netip.Addr{}, false
}

type describeVpcsRequest struct {
	VpcId  []string
	Filter []filterParam
	pageParams
}

type describeVpcsAnswer struct {
	NextToken string              `xml:"nextToken,omitempty"`
	Vpcs      query.List[vpcItem] `xml:"vpcSet"`
}

var vpcFilters = fields[vpcItem]{
	"vpc-id":                            one(func(v *vpcItem) string { return v.ID }),
	"cidr":                              one(func(v *vpcItem) string { return v.CIDR }),
	"cidr-block-association.cidr-block": one(func(v *vpcItem) string { return v.CIDR }),
	"is-default":                        flag(func(v *vpcItem) bool { return v.IsDefault }),
	"isDefault":                         flag(func(v *vpcItem) bool { return v.IsDefault }),
	"owner-id":                          one(func(v *vpcItem) string { return v.OwnerID }),
	"state":                             one(func(v *vpcItem) string { return v.State }),
}

func describeVpcs(q *call, in *describeVpcsRequest) (*describeVpcsAnswer, error) {
	match, err := filters(in.Filter, vpcFilters, func(v *vpcItem) map[string]string { return v.tags })
	if err != nil {
		return nil, err
	}
	vpc := q.defaultVPC()
	for _, id := range in.VpcId {
		if id != vpc.ID {
			return nil, notFound("InvalidVpcID.NotFound", "vpc ID", id)
		}
	}
	var found []vpcItem
	if match.match(&vpc) {
		found = append(found, vpc)
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(v vpcItem) string { return v.ID })
	return &describeVpcsAnswer{next, query.List[vpcItem]{Items: rows}}, err
}

type describeSubnetsRequest struct {
	SubnetId []string
	Filter   []filterParam
	pageParams
}

type describeSubnetsAnswer struct {
	NextToken string                 `xml:"nextToken,omitempty"`
	Subnets   query.List[subnetItem] `xml:"subnetSet"`
}

var subnetFilters = fields[subnetItem]{
	"subnet-id":                  one(func(s *subnetItem) string { return s.ID }),
	"vpc-id":                     one(func(s *subnetItem) string { return s.VpcID }),
	"availability-zone":          one(func(s *subnetItem) string { return s.Zone }),
	"availabilityZone":           one(func(s *subnetItem) string { return s.Zone }),
	"availability-zone-id":       one(func(s *subnetItem) string { return s.ZoneID }),
	"cidr-block":                 one(func(s *subnetItem) string { return s.CIDR }),
	"cidr":                       one(func(s *subnetItem) string { return s.CIDR }),
	"default-for-az":             flag(func(s *subnetItem) bool { return s.DefaultForZ }),
	"defaultForAz":               flag(func(s *subnetItem) bool { return s.DefaultForZ }),
	"map-public-ip-on-launch":    flag(func(s *subnetItem) bool { return s.PublicIP }),
	"owner-id":                   one(func(s *subnetItem) string { return s.OwnerID }),
	"state":                      one(func(s *subnetItem) string { return s.State }),
	"available-ip-address-count": one(func(s *subnetItem) string { return number(int32(s.Free)) }),
}

func describeSubnets(q *call, in *describeSubnetsRequest) (*describeSubnetsAnswer, error) {
	match, err := filters(in.Filter, subnetFilters, func(s *subnetItem) map[string]string { return s.tags })
	if err != nil {
		return nil, err
	}
	for _, id := range in.SubnetId {
		if _, ok := q.subnet(id); !ok {
			return nil, notFound("InvalidSubnetID.NotFound", "subnet ID", id)
		}
	}
	wanted := patterns(in.SubnetId)
	var found []subnetItem
	for _, s := range q.subnets() {
		if (len(in.SubnetId) == 0 || wanted(s.ID)) && match.match(&s) {
			found = append(found, s)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(s subnetItem) string { return s.ID })
	return &describeSubnetsAnswer{next, query.List[subnetItem]{Items: rows}}, err
}
