package sandbox

import (
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

// instanceType is one row of the table; all of them are offered in every zone.
type instanceType struct {
	Name         string
	VCPUs        int32
	MemoryMiB    int32
	Arch         string
	Manufacturer string
	GHz          float64
	Burstable    bool
	Network      string
	Interfaces   int32
}

// instanceTypeTable follows docs.aws.amazon.com/ec2/latest/instancetypes (general purpose and compute optimized).
var instanceTypeTable = slices.Concat(
	burstable("t3", "x86_64", "Intel", 2.5),
	burstable("t3a", "x86_64", "AMD", 2.2),
	burstable("t4g", "arm64", "AWS", 2.5),
	fixed("m5", "x86_64", "Intel", 3.1, 4096),
	fixed("m6i", "x86_64", "Intel", 3.5, 4096),
	fixed("c5", "x86_64", "Intel", 3.4, 2048),
)

func burstable(family, arch, maker string, ghz float64) []instanceType {
	var out []instanceType
	for _, s := range []struct {
		size       string
		vcpu, mem  int32
		interfaces int32
	}{{"nano", 2, 512, 2}, {"micro", 2, 1024, 2}, {"small", 2, 2048, 3}, {"medium", 2, 4096, 3}, {"large", 2, 8192, 3},
		{"xlarge", 4, 16384, 4}, {"2xlarge", 8, 32768, 4}} {
		out = append(out, instanceType{family + "." + s.size, s.vcpu, s.mem, arch, maker, ghz, true, "Up to 5 Gigabit", s.interfaces})
	}
	return out
}

func fixed(family, arch, maker string, ghz float64, memPerCPU int32) []instanceType {
	var out []instanceType
	for _, s := range []struct {
		size       string
		vcpu       int32
		interfaces int32
	}{{"large", 2, 3}, {"xlarge", 4, 4}, {"2xlarge", 8, 4}, {"4xlarge", 16, 8}} {
		out = append(out, instanceType{family + "." + s.size, s.vcpu, s.vcpu * memPerCPU, arch, maker, ghz, false, "Up to 10 Gigabit", s.interfaces})
	}
	return out
}

func typeByName(name string) (instanceType, error) {
	for _, t := range instanceTypeTable {
		if t.Name == name {
			return t, nil
		}
	}
	return instanceType{}, fail("InvalidParameterValue", "Invalid value '%s' for InstanceType.", name)
}

func (t instanceType) bootModes() []string {
	if t.Arch == "arm64" {
		return []string{"uefi"}
	}
	return []string{"legacy-bios", "uefi"}
}

type typeItem struct {
	Name        string             `xml:"instanceType"`
	Current     bool               `xml:"currentGeneration"`
	FreeTier    bool               `xml:"freeTierEligible"`
	Usage       query.List[string] `xml:"supportedUsageClasses"`
	RootDevices query.List[string] `xml:"supportedRootDeviceTypes"`
	Virtual     query.List[string] `xml:"supportedVirtualizationTypes"`
	BareMetal   bool               `xml:"bareMetal"`
	Hypervisor  string             `xml:"hypervisor"`
	Archs       query.List[string] `xml:"processorInfo>supportedArchitectures"`
	GHz         float64            `xml:"processorInfo>sustainedClockSpeedInGhz"`
	Maker       string             `xml:"processorInfo>manufacturer"`
	VCPUs       int32              `xml:"vCpuInfo>defaultVCpus"`
	Cores       int32              `xml:"vCpuInfo>defaultCores"`
	Threads     int32              `xml:"vCpuInfo>defaultThreadsPerCore"`
	MemoryMiB   int32              `xml:"memoryInfo>sizeInMiB"`
	Storage     bool               `xml:"instanceStorageSupported"`
	EBSOpt      string             `xml:"ebsInfo>ebsOptimizedSupport"`
	EBSCrypt    string             `xml:"ebsInfo>encryptionSupport"`
	NVMe        string             `xml:"ebsInfo>nvmeSupport"`
	Network     string             `xml:"networkInfo>networkPerformance"`
	Interfaces  int32              `xml:"networkInfo>maximumNetworkInterfaces"`
	Cards       int32              `xml:"networkInfo>maximumNetworkCards"`
	IPv6        bool               `xml:"networkInfo>ipv6Supported"`
	ENA         string             `xml:"networkInfo>enaSupport"`
	EFA         bool               `xml:"networkInfo>efaSupported"`
	Hibernation bool               `xml:"hibernationSupported"`
	Burstable   bool               `xml:"burstablePerformanceSupported"`
	Dedicated   bool               `xml:"dedicatedHostsSupported"`
	Recovery    bool               `xml:"autoRecoverySupported"`
	BootModes   query.List[string] `xml:"supportedBootModes"`
}

func (t instanceType) item() typeItem {
	list := func(s ...string) query.List[string] { return query.List[string]{Items: s} }
	threads := int32(2)
	if t.Arch == "arm64" {
		threads = 1
	}
	return typeItem{Name: t.Name, Current: true, FreeTier: t.Name == "t3.micro", Usage: list("on-demand", "spot"), RootDevices: list("ebs"),
		Virtual: list("hvm"), Hypervisor: "nitro", Archs: list(t.Arch), GHz: t.GHz, Maker: t.Manufacturer, VCPUs: t.VCPUs,
		Cores: t.VCPUs / threads, Threads: threads, MemoryMiB: t.MemoryMiB, EBSOpt: "default", EBSCrypt: "supported", NVMe: "required",
		Network: t.Network, Interfaces: t.Interfaces, Cards: 1, IPv6: true, ENA: "required", Burstable: t.Burstable,
		Dedicated: !t.Burstable, Recovery: true, BootModes: list(t.bootModes()...)}
}

type describeTypesRequest struct {
	InstanceType []string
	Filter       []filterParam
	pageParams
}

type describeTypesAnswer struct {
	Types     query.List[typeItem] `xml:"instanceTypeSet"`
	NextToken string               `xml:"nextToken,omitempty"`
}

var typeFilters = fields[instanceType]{
	"instance-type":                         one(func(t *instanceType) string { return t.Name }),
	"processor-info.supported-architecture": one(func(t *instanceType) string { return t.Arch }),
	"vcpu-info.default-vcpus":               one(func(t *instanceType) string { return number(t.VCPUs) }),
	"memory-info.size-in-mib":               one(func(t *instanceType) string { return number(t.MemoryMiB) }),
	"burstable-performance-supported":       flag(func(t *instanceType) bool { return t.Burstable }),
	"current-generation":                    flag(func(*instanceType) bool { return true }),
	"bare-metal":                            flag(func(*instanceType) bool { return false }),
	"instance-storage-supported":            flag(func(*instanceType) bool { return false }),
	"free-tier-eligible":                    flag(func(t *instanceType) bool { return t.Name == "t3.micro" }),
	"supported-boot-mode":                   func(t *instanceType) []string { return t.bootModes() },
	"supported-virtualization-type":         func(*instanceType) []string { return []string{"hvm"} },
	"supported-root-device-type":            func(*instanceType) []string { return []string{"ebs"} },
	"supported-usage-class":                 func(*instanceType) []string { return []string{"on-demand", "spot"} },
	"hypervisor":                            func(*instanceType) []string { return []string{"nitro"} },
}

func describeInstanceTypes(q *call, in *describeTypesRequest) (*describeTypesAnswer, error) {
	match, err := filters(in.Filter, typeFilters, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range in.InstanceType {
		if _, err := typeByName(name); err != nil {
			return nil, fail("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", name)
		}
	}
	wanted := patterns(in.InstanceType)
	var found []instanceType
	for _, t := range instanceTypeTable {
		if (len(in.InstanceType) == 0 || wanted(t.Name)) && match.match(&t) {
			found = append(found, t)
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(t instanceType) string { return t.Name })
	out := &describeTypesAnswer{NextToken: next}
	for _, t := range rows {
		out.Types.Items = append(out.Types.Items, t.item())
	}
	return out, err
}

type offeringItem struct {
	Type         string `xml:"instanceType"`
	LocationType string `xml:"locationType"`
	Location     string `xml:"location"`
}

type describeOfferingsRequest struct {
	LocationType string
	Filter       []filterParam
	pageParams
}

type describeOfferingsAnswer struct {
	Offerings query.List[offeringItem] `xml:"instanceTypeOfferingSet"`
	NextToken string                   `xml:"nextToken,omitempty"`
}

var offeringFilters = fields[offeringItem]{
	"instance-type": one(func(o *offeringItem) string { return o.Type }),
	"location":      one(func(o *offeringItem) string { return o.Location }),
}

func describeInstanceTypeOfferings(q *call, in *describeOfferingsRequest) (*describeOfferingsAnswer, error) {
	match, err := filters(in.Filter, offeringFilters, nil)
	if err != nil {
		return nil, err
	}
	r, _ := regionByName(q.Region)
	var locations []string
	kind := in.LocationType
	switch kind {
	case "", "region":
		kind, locations = "region", []string{r.Name}
	case "availability-zone":
		locations = zoneNames(r)
	case "availability-zone-id":
		for _, z := range r.zones() {
			locations = append(locations, z.ID)
		}
	default:
		return nil, badParameter(kind, "LocationType", "Valid values: region, availability-zone, availability-zone-id.")
	}
	var found []offeringItem
	for _, t := range instanceTypeTable {
		for _, location := range locations {
			o := offeringItem{t.Name, kind, location}
			if match.match(&o) {
				found = append(found, o)
			}
		}
	}
	rows, next, err := page(q, in.pageParams, 5, found, func(o offeringItem) string { return o.Type + " " + o.Location })
	return &describeOfferingsAnswer{query.List[offeringItem]{Items: rows}, next}, err
}
