package sandbox

import (
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

// What clients ask about the default network: it has the gateway, the routes and the DNS of AWS's default VPC.

type vpcAttributeRequest struct {
	VpcId     string `query:",required"`
	Attribute string `query:",required"`
}

type vpcAttributeAnswer struct {
	ID           string             `xml:"vpcId"`
	DNSSupport   *query.Value[bool] `xml:"enableDnsSupport"`
	DNSHostnames *query.Value[bool] `xml:"enableDnsHostnames"`
	UsageMetrics *query.Value[bool] `xml:"enableNetworkAddressUsageMetrics"`
}

func describeVpcAttribute(q *call, in *vpcAttributeRequest) (*vpcAttributeAnswer, error) {
	if in.VpcId != vpcID(q.place) {
		return nil, notFound("InvalidVpcID.NotFound", "vpc ID", in.VpcId)
	}
	out := &vpcAttributeAnswer{ID: in.VpcId}
	switch in.Attribute {
	case "enableDnsSupport":
		out.DNSSupport = &query.Value[bool]{Value: true}
	case "enableDnsHostnames":
		out.DNSHostnames = &query.Value[bool]{Value: true}
	case "enableNetworkAddressUsageMetrics":
		out.UsageMetrics = &query.Value[bool]{}
	default:
		return nil, badParameter(in.Attribute, "attribute", "It is not an attribute of VPCs.")
	}
	return out, nil
}

type routeTableItem struct {
	ID           string                      `xml:"routeTableId"`
	VpcID        string                      `xml:"vpcId"`
	OwnerID      string                      `xml:"ownerId"`
	Routes       query.List[routeItem]       `xml:"routeSet"`
	Associations query.List[associationItem] `xml:"associationSet"`
	Propagating  query.List[string]          `xml:"propagatingVgwSet"`
	Tags         query.List[tagItem]         `xml:"tagSet"`
}

type routeItem struct {
	CIDR    string `xml:"destinationCidrBlock"`
	Gateway string `xml:"gatewayId"`
	State   string `xml:"state"`
	Origin  string `xml:"origin"`
}

type associationItem struct {
	ID      string `xml:"routeTableAssociationId"`
	TableID string `xml:"routeTableId"`
	Main    bool   `xml:"main"`
	State   string `xml:"associationState>state"`
}

type describeRouteTablesRequest struct {
	RouteTableId []string
	Filter       []filterParam
	pageParams
}

type describeRouteTablesAnswer struct {
	NextToken string                     `xml:"nextToken,omitempty"`
	Tables    query.List[routeTableItem] `xml:"routeTableSet"`
}

var routeTableFilters = fields[routeTableItem]{
	"association.main":           flag(func(*routeTableItem) bool { return true }),
	"association.route-table-id": one(func(r *routeTableItem) string { return r.ID }),
	"association.subnet-id":      func(*routeTableItem) []string { return nil }, // subnets use the main table without being associated
	"owner-id":                   one(func(r *routeTableItem) string { return r.OwnerID }),
	"route-table-id":             one(func(r *routeTableItem) string { return r.ID }),
	"vpc-id":                     one(func(r *routeTableItem) string { return r.VpcID }),
}

func gatewayID(p place) string { return hashID("igw-", p.key()) }

func describeRouteTables(q *call, in *describeRouteTablesRequest) (*describeRouteTablesAnswer, error) {
	match, err := filters(in.Filter, routeTableFilters, func(*routeTableItem) map[string]string { return nil })
	if err != nil {
		return nil, err
	}
	vpc := q.defaultVPC()
	r := routeTableItem{ID: hashID("rtb-", q.key()), VpcID: vpc.ID, OwnerID: q.Account}
	r.Routes.Items = []routeItem{{vpc.CIDR, "local", "active", "CreateRouteTable"}, {"0.0.0.0/0", gatewayID(q.place), "active", "CreateRoute"}}
	r.Associations.Items = []associationItem{{hashID("rtbassoc-", q.key()), r.ID, true, "associated"}}
	for _, id := range in.RouteTableId {
		if id != r.ID {
			return nil, notFound("InvalidRouteTableID.NotFound", "routeTable ID", id)
		}
	}
	found := []routeTableItem{r}
	found = slices.DeleteFunc(found, func(r routeTableItem) bool { return !match.match(&r) })
	rows, next, err := page(q, in.pageParams, 5, found, func(r routeTableItem) string { return r.ID })
	return &describeRouteTablesAnswer{next, query.List[routeTableItem]{Items: rows}}, err
}

type gatewayItem struct {
	ID          string                        `xml:"internetGatewayId"`
	OwnerID     string                        `xml:"ownerId"`
	Attachments query.List[gatewayAttachment] `xml:"attachmentSet"`
	Tags        query.List[tagItem]           `xml:"tagSet"`
}

type gatewayAttachment struct {
	VpcID string `xml:"vpcId"`
	State string `xml:"state"`
}

type describeGatewaysRequest struct {
	InternetGatewayId []string
	Filter            []filterParam
	pageParams
}

type describeGatewaysAnswer struct {
	NextToken string                  `xml:"nextToken,omitempty"`
	Gateways  query.List[gatewayItem] `xml:"internetGatewaySet"`
}

var gatewayFilters = fields[gatewayItem]{
	"attachment.state":    func(*gatewayItem) []string { return []string{available} },
	"attachment.vpc-id":   one(func(g *gatewayItem) string { return g.Attachments.Items[0].VpcID }),
	"internet-gateway-id": one(func(g *gatewayItem) string { return g.ID }),
	"owner-id":            one(func(g *gatewayItem) string { return g.OwnerID }),
}

func describeInternetGateways(q *call, in *describeGatewaysRequest) (*describeGatewaysAnswer, error) {
	match, err := filters(in.Filter, gatewayFilters, func(*gatewayItem) map[string]string { return nil })
	if err != nil {
		return nil, err
	}
	g := gatewayItem{ID: gatewayID(q.place), OwnerID: q.Account}
	g.Attachments.Items = []gatewayAttachment{{vpcID(q.place), available}}
	for _, id := range in.InternetGatewayId {
		if id != g.ID {
			return nil, notFound("InvalidInternetGatewayID.NotFound", "internetGateway ID", id)
		}
	}
	found := slices.DeleteFunc([]gatewayItem{g}, func(g gatewayItem) bool { return !match.match(&g) })
	rows, next, err := page(q, in.pageParams, 5, found, func(g gatewayItem) string { return g.ID })
	return &describeGatewaysAnswer{next, query.List[gatewayItem]{Items: rows}}, err
}
