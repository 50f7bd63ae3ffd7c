package sandbox

import (
	"slices"

	"github.com/imgops/imgops/images/sandbox/query"
)

type launchPermissionItem struct {
	Organization string `xml:"organizationArn,omitempty"`
	OU           string `xml:"organizationalUnitArn,omitempty"`
	UserID       string `xml:"userId,omitempty"`
	Group        string `xml:"group,omitempty"`
}

type imageAttributeRequest struct {
	ImageId   string `query:",required"`
	Attribute string `query:",required"`
}

type imageAttributeAnswer struct {
	Description  *query.Value[string]              `xml:"description"`
	Kernel       *query.Value[string]              `xml:"kernel"`
	Ramdisk      *query.Value[string]              `xml:"ramdisk"`
	Sriov        *query.Value[string]              `xml:"sriovNetSupport"`
	BootMode     *query.Value[string]              `xml:"bootMode"`
	TPM          *query.Value[string]              `xml:"tpmSupport"`
	UEFIData     *query.Value[string]              `xml:"uefiData"`
	LastLaunched *query.Value[string]              `xml:"lastLaunchedTime"`
	IMDSSupport  *query.Value[string]              `xml:"imdsSupport"`
	Protection   *query.Value[string]              `xml:"deregistrationProtection"`
	ID           string                            `xml:"imageId"`
	Permissions  *query.List[launchPermissionItem] `xml:"launchPermission"`
	ProductCodes *query.List[string]               `xml:"productCodes"`
	Devices      *query.List[deviceItem]           `xml:"blockDeviceMapping"`
}

// describeImageAttribute is for the owner only (ec2-facts 4.13).
func describeImageAttribute(q *call, in *imageAttributeRequest) (*imageAttributeAnswer, error) {
	i, err := q.ownImage(in.ImageId)
	if err != nil {
		return nil, err
	}
	out := &imageAttributeAnswer{ID: i.ID}
	switch value := func(s string) *query.Value[string] { return &query.Value[string]{Value: s} }; in.Attribute {
	case "description":
		out.Description = value(i.Description)
	case "kernel":
		out.Kernel = value("")
	case "ramdisk":
		out.Ramdisk = value("")
	case "sriovNetSupport":
		out.Sriov = value(i.Sriov)
	case "bootMode":
		out.BootMode = value(i.BootMode)
	case "tpmSupport":
		out.TPM = value(i.TPMSupport)
	case "uefiData":
		out.UEFIData = value(i.UEFIData)
	case "lastLaunchedTime":
		out.LastLaunched = value(q.lastLaunched(&i))
	case "imdsSupport":
		out.IMDSSupport = value(i.IMDSSupport)
	case "deregistrationProtection":
		out.Protection = value(q.protection(&i))
	case "launchPermission":
		out.Permissions = launchPermissions(i)
	case "productCodes":
		out.ProductCodes = &query.List[string]{}
	case "blockDeviceMapping":
		devices := deviceItems(&i)
		out.Devices = &devices
	default:
		return nil, badParameter(in.Attribute, "attribute", "It is not an attribute of images.")
	}
	return out, nil
}

func launchPermissions(i imageRow) *query.List[launchPermissionItem] {
	list := &query.List[launchPermissionItem]{}
	for _, user := range i.Users {
		list.Items = append(list.Items, launchPermissionItem{UserID: user})
	}
	for _, arn := range i.Orgs {
		list.Items = append(list.Items, launchPermissionItem{Organization: arn})
	}
	for _, arn := range i.OUs {
		list.Items = append(list.Items, launchPermissionItem{OU: arn})
	}
	if i.Public {
		list.Items = append(list.Items, launchPermissionItem{Group: "all"})
	}
	return list
}

type valueParam struct{ Value string }

type modifyImageAttributeRequest struct {
	ImageId          string `query:",required"`
	Attribute, Value string
	Description      *valueParam
	ImdsSupport      *valueParam
	LaunchPermission struct{ Add, Remove []shareParam }
	shareChange
}

// modifyImageAttribute changes one attribute: description, imdsSupport or launchPermission (ec2-facts 1.33, 4.1).
func modifyImageAttribute(q *call, in *modifyImageAttributeRequest) (*done, error) {
	i, err := q.ownImage(in.ImageId)
	if err != nil {
		return nil, err
	}
	attribute, err := in.attribute()
	if err != nil {
		return nil, err
	}
	switch attribute {
	case "description":
		i.Description = in.Value
		if in.Description != nil {
			i.Description = in.Description.Value
		}
	case "imdsSupport":
		value := in.Value
		if in.ImdsSupport != nil {
			value = in.ImdsSupport.Value
		}
		if value != "v2.0" {
			return nil, badParameter(value, "imdsSupport", "It can only be set to v2.0, and not be unset.")
		}
		i.IMDSSupport = value
	case "launchPermission":
		if i.State != available {
			return nil, fail("InvalidAMIID.Unavailable", "The image ID '%s' is not available; it is %s", i.ID, i.State)
		}
		if i, err = q.share(i, in); err != nil {
			return nil, err
		}
	}
	q.images.Put(q.tx, i.ID, i)
	return success, nil
}

// attribute finds out which attribute the request is about; there may be one in a call.
func (in *modifyImageAttributeRequest) attribute() (string, error) {
	var names []string
	if in.Description != nil {
		names = append(names, "description")
	}
	if in.ImdsSupport != nil {
		names = append(names, "imdsSupport")
	}
	if in.flat() || len(in.LaunchPermission.Add)+len(in.LaunchPermission.Remove) > 0 {
		names = append(names, "launchPermission")
	}
	if in.Attribute != "" && !slices.Contains(names, in.Attribute) {
		names = append(names, in.Attribute)
	}
	switch {
	case len(names) == 0:
		return "", fail("InvalidRequest", "The request must contain an attribute to modify: description, imdsSupport or launchPermission")
	case len(names) > 1:
		return "", combination("Fields for multiple attribute types specified: %v", names)
	case !slices.Contains([]string{"description", "imdsSupport", "launchPermission"}, names[0]):
		return "", badParameter(names[0], "attribute", "Only description, imdsSupport and launchPermission can be modified.")
	}
	return names[0], nil
}

const maxLaunchPermissions = 1000 // accounts, organizations and OUs of one image (ec2-facts 4.2)

func (q *call) share(i imageRow, in *modifyImageAttributeRequest) (imageRow, error) {
	add, remove, err := in.merged(in.LaunchPermission.Add, in.LaunchPermission.Remove, "LaunchPermission", "InvalidAMIAttributeItemValue")
	if err != nil {
		return i, err
	}
	for _, d := range i.Devices {
		if len(add) == 0 || d.SnapshotID == "" || !d.Encrypted {
			continue
		}
		if d.KMSKey == defaultKey(i.place) {
			return i, fail("OperationNotPermitted", "Snapshots of image %s are encrypted with the EBS default key, which cannot be shared", i.ID)
		}
		if slices.ContainsFunc(add, func(p shareParam) bool { return p.Group != "" }) {
			return i, fail("OperationNotPermitted", "Image %s has encrypted snapshots and cannot be public", i.ID)
		}
	}
	for _, p := range add {
		if p.Group != "" && !i.Public {
			if err := checkPublic(q.settingsOf(i.place).ImagePublic, "image"); err != nil {
				return i, err
			}
		}
		i.Public = i.Public || p.Group == "all"
		i.Users, i.Orgs, i.OUs = with(i.Users, p.UserId), with(i.Orgs, p.OrganizationArn), with(i.OUs, p.OrganizationalUnitArn)
	}
	for _, p := range remove {
		i.Public = i.Public && p.Group != "all"
		i.Users, i.Orgs, i.OUs = without(i.Users, p.UserId), without(i.Orgs, p.OrganizationArn), without(i.OUs, p.OrganizationalUnitArn)
	}
	if len(i.Users)+len(i.Orgs)+len(i.OUs) > maxLaunchPermissions {
		return i, fail("ResourceLimitExceeded", "Image %s would have more than %d launch permissions", i.ID, maxLaunchPermissions)
	}
	if limit := i.Created.AddDate(2, 0, 0); i.Public && (i.DeprecateAt.IsZero() || i.DeprecateAt.After(limit)) {
		i.DeprecateAt = limit // a public image is deprecated two years after its creation at the latest (ec2-facts 4.18)
	}
	return i, nil
}

// resetImageAttribute takes all launch permissions away; there is no other attribute to reset.
func resetImageAttribute(q *call, in *imageAttributeRequest) (*done, error) {
	i, err := q.ownImage(in.ImageId)
	if err != nil {
		return nil, err
	}
	if in.Attribute != "launchPermission" {
		return nil, badParameter(in.Attribute, "attribute", "Only launchPermission can be reset.")
	}
	q.images.Put(q.tx, i.ID, i.unshared())
	return success, nil
}

// cancelLaunchPermission takes the caller, with whom the image is shared by its account id, off the launch permissions. What is
// public, or shared with an organization, cannot be given back (EC2 user guide, cancel-sharing-an-AMI).
func cancelLaunchPermission(q *call, in *imageRequest) (*done, error) {
	i, err := q.visibleImage(in.ImageId)
	switch {
	case err != nil:
		return nil, err
	case i.Account == q.Account:
		return nil, fail("OperationNotPermitted", "The image '%s' is your own; it is not shared with you", i.ID)
	case !slices.Contains(i.Users, q.Account):
		return nil, fail("OperationNotPermitted", "The image '%s' is not shared with account %s itself: it is public or shared with an organization", i.ID, q.Account)
	}
	i.Users = without(i.Users, q.Account)
	q.images.Put(q.tx, i.ID, i)
	return success, nil
}

func (i imageRow) unshared() imageRow {
	i.Public, i.Users, i.Orgs, i.OUs = false, nil, nil, nil
	return i
}
