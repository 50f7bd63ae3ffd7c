package sandbox

import (
	"cmp"
	"encoding/base64"
	"slices"
)

type ebsParam struct {
	DeleteOnTermination *bool
	Encrypted           *bool
	Iops, Throughput    int32
	KmsKeyId            string
	SnapshotId          string
	VolumeSize          int32
	VolumeType          string

	VolumeInitializationRate int32
}

type deviceParam struct {
	DeviceName  string
	VirtualName string
	NoDevice    *string
	Ebs         *ebsParam
}

type imageAnswer struct {
	ID string `xml:"imageId"`
}

type createImageRequest struct {
	InstanceId         string `query:",required"`
	Name               string `query:",required"`
	Description        string
	NoReboot           bool
	BlockDeviceMapping []deviceParam
	TagSpecification   []tagSpecParam
}

// createImage stores a pending image and a pending snapshot of each of the instance's volumes; captureImage does the work. It has no client token: a second
// call with the same name is told so (ec2-facts 2.1).
func createImage(q *call, in *createImageRequest) (*imageAnswer, error) {
	specs, err := tagSpecs(in.TagSpecification, "image", "snapshot")
	if err != nil {
		return nil, err
	}
	inst, err := q.instance(in.InstanceId)
	if err != nil {
		return nil, err
	}
	if inst.State != running && inst.State != stopped {
		return nil, fail("InvalidParameterValue", "Instance is not in state 'running' or 'stopped'; %s is %s", inst.ID, inst.State)
	}
	if err := q.freeImageName(in.Name); err != nil {
		return nil, err
	}
	devices, err := q.capturedDevices(&inst, in.BlockDeviceMapping)
	if err != nil {
		return nil, err
	}
	id := newID("ami-")
	q.newSnapshots(&inst, devices, "Created by CreateImage("+inst.ID+") for "+id, specs["snapshot"])
	source, _ := q.images.Get(q.tx, inst.ImageID)
	i := imageRow{place: q.place, ID: id, Name: in.Name, Description: in.Description, Architecture: inst.Architecture, State: pending,
		Created: q.now, RootDevice: inst.RootDevice, Devices: devices, BootMode: inst.BootMode, ENA: inst.ENA,
		Sriov: cmp.Or(inst.Sriov, source.Sriov), UEFIData: source.UEFIData, TPMSupport: source.TPMSupport, SourceInstance: inst.ID, SourceImage: inst.ImageID, SourceFrom: inst.Region,
		Job: &imageJob{InstanceID: inst.ID, Reboot: inst.State == running && !in.NoReboot}}
	q.images.Put(q.tx, id, i)
	q.setTags(id, specs["image"])
	q.after(func() { q.jobs.run(inst.ID, func() { q.captureImage(id) }) })
	return &imageAnswer{id}, nil
}

type registerImageRequest struct {
	Name               string `query:",required"`
	Description        string
	Architecture       string
	RootDeviceName     string
	BlockDeviceMapping []deviceParam
	BootMode           string
	EnaSupport         bool
	ImdsSupport        string
	SriovNetSupport    string
	TpmSupport         string
	UefiData           string // kept and shown, but the firmware of machines does not read it
	VirtualizationType string
	TagSpecification   []tagSpecParam

	// What images of other kinds have. Terraform sends ImageLocation empty.
	ImageLocation, KernelId, RamdiskId string
	BillingProduct                     []string
}

// backedByEBS refuses what only images of other kinds have.
func (in *registerImageRequest) backedByEBS() error {
	switch {
	case in.ImageLocation != "":
		return fail("Unsupported", "Only EBS-backed images can be registered here, not the manifest %s; leave ImageLocation out", in.ImageLocation)
	case in.KernelId != "" || in.RamdiskId != "":
		return fail("Unsupported", "Images of this sandbox have their kernel on their disk; leave KernelId and RamdiskId out")
	case len(in.BillingProduct) > 0:
		return fail("Unsupported", "This sandbox has no billing products; leave BillingProducts out")
	}
	if _, err := base64.StdEncoding.DecodeString(in.UefiData); err != nil {
		return fail("InvalidParameterValue", "The parameter uefiData is not valid base64")
	}
	return nil
}

func (in *registerImageRequest) check() error {
	switch {
	case in.VirtualizationType != "" && in.VirtualizationType != "hvm":
		return fail("Unsupported", "Only hvm images run here, not %s", in.VirtualizationType)
	case in.Architecture != "" && in.Architecture != "x86_64" && in.Architecture != "arm64":
		return badParameter(in.Architecture, "architecture", "Valid values: x86_64, arm64.")
	case !slices.Contains([]string{"", "legacy-bios", "uefi", "uefi-preferred"}, in.BootMode):
		return badParameter(in.BootMode, "bootMode", "Valid values: legacy-bios, uefi, uefi-preferred.")
	case in.ImdsSupport != "" && in.ImdsSupport != "v2.0":
		return badParameter(in.ImdsSupport, "imdsSupport", "Valid values: v2.0.")
	case in.TpmSupport != "" && in.TpmSupport != "v2.0":
		return badParameter(in.TpmSupport, "tpmSupport", "Valid values: v2.0.")
	case in.TpmSupport != "" && in.BootMode != "uefi":
		return combination("The tpmSupport '%s' requires the boot mode 'uefi', not '%s'", in.TpmSupport, in.BootMode) // ec2-facts 1.31
	case in.RootDeviceName == "" || len(in.BlockDeviceMapping) == 0:
		return missing("RootDeviceName and BlockDeviceMapping")
	}
	return nil
}

func registerImage(q *call, in *registerImageRequest) (*imageAnswer, error) {
	specs, err := tagSpecs(in.TagSpecification, "image", "snapshot")
	if err != nil {
		return nil, err
	}
	if err := firstError(in.check(), in.backedByEBS(), q.freeImageName(in.Name)); err != nil {
		return nil, err
	}
	devices, err := q.registeredDevices(in)
	if err != nil {
		return nil, err
	}
	i := imageRow{place: q.place, ID: newID("ami-"), Name: in.Name, Description: in.Description, Architecture: in.Architecture,
		State: available, Created: q.now, RootDevice: in.RootDeviceName, Devices: devices, BootMode: in.BootMode,
		ENA: in.EnaSupport, IMDSSupport: in.ImdsSupport, Sriov: in.SriovNetSupport, TPMSupport: in.TpmSupport, UEFIData: in.UefiData}
	if i.Architecture == "" {
		i.Architecture = "x86_64"
	}
	q.images.Put(q.tx, i.ID, i)
	q.setTags(i.ID, specs["image"])
	if specs["snapshot"] != nil {
		for _, snapshot := range i.snapshots() {
			q.setTags(snapshot, specs["snapshot"])
		}
	}
	return &imageAnswer{i.ID}, nil
}

type copyImageRequest struct {
	Name             string `query:",required"`
	SourceRegion     string `query:",required"`
	SourceImageId    string `query:",required"`
	Description      string
	ClientToken      string
	Encrypted        *bool
	KmsKeyId         string
	CopyImageTags    bool
	TagSpecification []tagSpecParam

	SnapshotCopyCompletionDurationMinutes *int32
}

// copyImage is called in the destination Region. The copy shares the source's blob; it is pending until finishImageCopy.
// Launch permissions, deprecation and protection are not copied (ec2-facts 3.5), and names need not be unique (2.3).
func copyImage(q *call, in *copyImageRequest) (*imageAnswer, error) {
	token, err := q.clientToken(in.ClientToken, withoutToken(*in, func(r *copyImageRequest) { r.ClientToken = "" }))
	if err != nil {
		return nil, err
	}
	if token.ID != "" {
		return &imageAnswer{token.ID}, nil
	}
	specs, err := tagSpecs(in.TagSpecification, "image", "snapshot")
	if err != nil {
		return nil, err
	}
	if err := firstError(checkImageName(in.Name), checkDuration(in.SnapshotCopyCompletionDurationMinutes, "snapshotCopyCompletionDurationMinutes")); err != nil {
		return nil, err
	}
	if _, known := regionByName(in.SourceRegion); !known {
		return nil, badParameter(in.SourceRegion, "sourceRegion", "Invalid region provided.")
	}
	from := q.at(in.SourceRegion)
	source, err := from.usableImage(in.SourceImageId)
	if err != nil {
		return nil, err
	}
	i := source.copyTo(q, in.Name, in.Description)
	if err := q.copyDevices(source, &i, in, specs["snapshot"]); err != nil {
		return nil, err
	}
	tags := specs["image"]
	if in.CopyImageTags {
		if tags, err = merged(from.seenTags(source.ID, source.Account), tags); err != nil {
			return nil, err
		}
	}
	q.images.Put(q.tx, i.ID, i)
	q.setTags(i.ID, tags)
	q.keepToken(in.ClientToken, token, i.ID)
	q.after(func() { q.jobs.run(i.ID, func() { q.finishImageCopy(i.ID) }) })
	return &imageAnswer{i.ID}, nil
}

// copyTo is a pending image of the caller's with what a copy takes over.
func (i *imageRow) copyTo(q *call, name, description string) imageRow {
	return imageRow{place: q.place, ID: newID("ami-"), Name: name, Description: description, Architecture: i.Architecture,
		State: pending, Created: q.now, RootDevice: i.RootDevice, Devices: slices.Clone(i.Devices), BootMode: i.BootMode,
		IMDSSupport: i.IMDSSupport, TPMSupport: i.TPMSupport, Sriov: i.Sriov, UEFIData: i.UEFIData, ENA: i.ENA, SourceImage: i.ID, SourceFrom: i.Region}
}

// merged is the tags of a source with those of the request over them.
func merged(base, over map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for _, tags := range []map[string]string{base, over} {
		for key, value := range tags {
			out[key] = value
		}
	}
	if len(out) > maxTags {
		return nil, tooManyTags()
	}
	return out, nil
}
