package sandbox

import (
	"maps"
	"strconv"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

type reasonItem struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

func (r *reason) item() *reasonItem {
	if r == nil {
		return nil
	}
	return &reasonItem{r.Code, r.Message}
}

type imageItem struct {
	PlatformDetails string                 `xml:"platformDetails"`
	UsageOperation  string                 `xml:"usageOperation"`
	Devices         query.List[deviceItem] `xml:"blockDeviceMapping"`
	Description     string                 `xml:"description,omitempty"`
	ENA             bool                   `xml:"enaSupport"`
	Hypervisor      string                 `xml:"hypervisor"`
	Name            string                 `xml:"name"`
	RootDevice      string                 `xml:"rootDeviceName"`
	RootDeviceType  string                 `xml:"rootDeviceType"`
	Sriov           string                 `xml:"sriovNetSupport,omitempty"`
	Reason          *reasonItem            `xml:"stateReason"`
	Tags            *query.List[tagItem]   `xml:"tagSet"`
	Virtualization  string                 `xml:"virtualizationType"`
	BootMode        string                 `xml:"bootMode,omitempty"`
	TPM             string                 `xml:"tpmSupport,omitempty"`
	DeprecationTime string                 `xml:"deprecationTime,omitempty"`
	IMDSSupport     string                 `xml:"imdsSupport,omitempty"`
	SourceInstance  string                 `xml:"sourceInstanceId,omitempty"`
	Protection      string                 `xml:"deregistrationProtection,omitempty"`
	LastLaunched    string                 `xml:"lastLaunchedTime,omitempty"`
	SourceImage     string                 `xml:"sourceImageId,omitempty"`
	SourceRegion    string                 `xml:"sourceImageRegion,omitempty"`
	ID              string                 `xml:"imageId"`
	Location        string                 `xml:"imageLocation"`
	State           string                 `xml:"imageState"`
	OwnerID         string                 `xml:"imageOwnerId"`
	Created         string                 `xml:"creationDate"`
	Public          bool                   `xml:"isPublic"`
	Architecture    string                 `xml:"architecture"`
	Type            string                 `xml:"imageType"`
	Allowed         *bool                  `xml:"imageAllowed"`
}

type deviceItem struct {
	EBS     *ebsItem `xml:"ebs"`
	Name    string   `xml:"deviceName"`
	Virtual string   `xml:"virtualName,omitempty"`
}

type ebsItem struct {
	DeleteOnTermination bool   `xml:"deleteOnTermination"`
	IOPS                int32  `xml:"iops,omitempty"`
	SnapshotID          string `xml:"snapshotId,omitempty"`
	SizeGiB             int32  `xml:"volumeSize"`
	Type                string `xml:"volumeType"`
	KMSKey              string `xml:"kmsKeyId,omitempty"`
	Throughput          int32  `xml:"throughput,omitempty"`
	Encrypted           bool   `xml:"encrypted"`
}

// deviceItems has no snapshot ids while the image is pending (ec2-facts 2.16).
func deviceItems(i *imageRow) query.List[deviceItem] {
	var list query.List[deviceItem]
	for _, d := range i.Devices {
		if d.Virtual != "" {
			list.Items = append(list.Items, deviceItem{Name: d.Name, Virtual: d.Virtual})
			continue
		}
		e := ebsItem{DeleteOnTermination: d.DeleteOnTermination, SnapshotID: d.SnapshotID, SizeGiB: d.SizeGiB, Type: d.Type,
			KMSKey: d.KMSKey, Encrypted: d.Encrypted, Throughput: d.Throughput, IOPS: d.IOPS}
		if i.State == pending || i.State == failed {
			e.SnapshotID = ""
		}
		list.Items = append(list.Items, deviceItem{EBS: &e, Name: d.Name})
	}
	return list
}

// lastLaunched is shown a day late, and to the owner only (ec2-facts 6.12).
func (q *call) lastLaunched(i *imageRow) string {
	if i.Account != q.Account || i.LastLaunched.IsZero() || q.now.Sub(i.LastLaunched) < 24*time.Hour {
		return ""
	}
	return i.LastLaunched.UTC().Format(time.RFC3339)
}

func (q *call) imageItem(i *imageRow) imageItem {
	item := imageItem{PlatformDetails: "Linux/UNIX", UsageOperation: "RunInstances", Devices: deviceItems(i), Description: i.Description,
		ENA: i.ENA, Hypervisor: "xen", Name: i.Name, RootDevice: i.RootDevice, RootDeviceType: "ebs", Sriov: i.Sriov,
		Reason: i.Reason.item(), Tags: optionalTagSet(q.seenTags(i.ID, i.Account)), Virtualization: "hvm", BootMode: i.BootMode,
		TPM: i.TPMSupport, DeprecationTime: timestamp(i.DeprecateAt), IMDSSupport: i.IMDSSupport, LastLaunched: q.lastLaunched(i),
		SourceImage: i.SourceImage, SourceRegion: i.SourceFrom, ID: i.ID, Location: i.Account + "/" + i.Name, State: i.State,
		OwnerID: i.Account, Created: timestamp(i.Created), Public: i.Public, Architecture: i.Architecture, Type: "machine", Allowed: q.allowedField(i)}
	if i.Account == q.Account {
		item.SourceInstance, item.Protection = i.SourceInstance, q.protection(i)
	}
	return item
}

type describeImagesRequest struct {
	ImageId           []string
	Owner             []string
	ExecutableBy      []string
	IncludeDeprecated bool
	IncludeDisabled   bool
	Filter            []filterParam
	pageParams
}

type describeImagesAnswer struct {
	NextToken string                `xml:"nextToken,omitempty"`
	Images    query.List[imageItem] `xml:"imagesSet"`
}

var imageFilters = fields[imageRow]{
	"architecture":         one(func(i *imageRow) string { return i.Architecture }),
	"boot-mode":            one(func(i *imageRow) string { return i.BootMode }),
	"creation-date":        one(func(i *imageRow) string { return timestamp(i.Created) }),
	"description":          one(func(i *imageRow) string { return i.Description }),
	"ena-support":          flag(func(i *imageRow) bool { return i.ENA }),
	"free-tier-eligible":   constantly[imageRow]("true"), // Linux without software that costs
	"hypervisor":           func(*imageRow) []string { return []string{"xen"} },
	"image-id":             one(func(i *imageRow) string { return i.ID }),
	"image-type":           func(*imageRow) []string { return []string{"machine"} },
	"is-public":            flag(func(i *imageRow) bool { return i.Public }),
	"kernel-id":            func(*imageRow) []string { return nil },
	"manifest-location":    one(func(i *imageRow) string { return i.Account + "/" + i.Name }),
	"name":                 one(func(i *imageRow) string { return i.Name }),
	"owner-alias":          func(*imageRow) []string { return nil },
	"owner-id":             one(func(i *imageRow) string { return i.Account }),
	"platform":             func(*imageRow) []string { return nil },
	"product-code":         func(*imageRow) []string { return nil },
	"product-code.type":    func(*imageRow) []string { return nil },
	"ramdisk-id":           func(*imageRow) []string { return nil },
	"root-device-name":     one(func(i *imageRow) string { return i.RootDevice }),
	"root-device-type":     func(*imageRow) []string { return []string{"ebs"} },
	"source-image-id":      one(func(i *imageRow) string { return i.SourceImage }),
	"source-image-region":  one(func(i *imageRow) string { return i.SourceFrom }),
	"source-instance-id":   one(func(i *imageRow) string { return i.SourceInstance }),
	"sriov-net-support":    one(func(i *imageRow) string { return i.Sriov }),
	"state":                one(func(i *imageRow) string { return i.State }),
	"state-reason-code":    one(func(i *imageRow) string { return i.reason().Code }),
	"state-reason-message": one(func(i *imageRow) string { return i.reason().Message }),
	"tpm-support":          one(func(i *imageRow) string { return i.TPMSupport }),
	"virtualization-type":  func(*imageRow) []string { return []string{"hvm"} },

	"block-device-mapping.delete-on-termination": each(func(d device) string { return strconv.FormatBool(d.DeleteOnTermination) }),
	"block-device-mapping.device-name":           func(i *imageRow) []string { return i.deviceNames() },
	"block-device-mapping.encrypted":             each(func(d device) string { return strconv.FormatBool(d.Encrypted) }),
	"block-device-mapping.snapshot-id":           func(i *imageRow) []string { return i.snapshots() },
	"block-device-mapping.volume-size":           each(func(d device) string { return number(d.SizeGiB) }),
	"block-device-mapping.volume-type":           each(func(d device) string { return d.Type }),
}

// imageFilters are all filters of DescribeImages. image-allowed is what ImageAllowed would be with the account's criteria.
func (q *call) imageFilters() fields[imageRow] {
	known, settings := maps.Clone(imageFilters), q.settingsOf(q.place)
	known["image-allowed"] = flag(func(i *imageRow) bool { return q.imageAllowed(settings, i) })
	return known
}

func (i *imageRow) reason() reason {
	if i.Reason == nil {
		return reason{}
	}
	return *i.Reason
}

var (
	ownerWord      = lazy(`^(\d{12}|self|amazon|aws-marketplace|aws-backup-vault)$`)
	executableWord = lazy(`^(\d{12}|self|all)$`)
)

func (in *describeImagesRequest) checkAccounts() error {
	for _, owner := range in.Owner {
		if !ownerWord().MatchString(owner) {
			return fail("InvalidUserID.Malformed", "Invalid user id: \"%s\"", owner)
		}
	}
	for _, user := range in.ExecutableBy {
		if !executableWord().MatchString(user) {
			return fail("InvalidUserID.Malformed", "Invalid user id: \"%s\" (give an account, self or all)", user)
		}
	}
	return nil
}

func describeImages(q *call, in *describeImagesRequest) (*describeImagesAnswer, error) {
	match, err := filters(in.Filter, q.imageFilters(), func(i *imageRow) map[string]string { return q.seenTags(i.ID, i.Account) })
	if err != nil {
		return nil, err
	}
	if err := in.checkAccounts(); err != nil {
		return nil, err
	}
	candidates, err := q.imageCandidates(in)
	if err != nil {
		return nil, err
	}
	owners, settings := patterns(q.accountWords(in.Owner)), q.settingsOf(q.place)
	found := candidates[:0]
	for _, i := range candidates {
		if q.unseen(i.Created) || q.disallowed(settings, i) {
			continue
		}
		i = q.asSeen(i)
		hidden := i.State == disabled && !in.IncludeDisabled || q.hiddenByAge(i) && !in.IncludeDeprecated && len(in.ImageId) == 0
		if hidden || len(in.Owner) > 0 && !owners(i.Account) || len(in.ExecutableBy) > 0 && !q.executable(i, in.ExecutableBy) {
			continue
		}
		if match.match(i) {
			found = append(found, i)
		}
	}
	rows, next, err := page(q, in.pageParams, 1, found, func(i *imageRow) string { return i.ID })
	out := &describeImagesAnswer{NextToken: next}
	for _, i := range rows {
		out.Images.Items = append(out.Images.Items, q.imageItem(i))
	}
	return out, err
}

// hiddenByAge: a deprecated image is hidden from all but its owner (ec2-facts 6.2).
func (q *call) hiddenByAge(i *imageRow) bool {
	return i.Account != q.Account && !i.DeprecateAt.IsZero() && !q.now.Before(i.DeprecateAt)
}
