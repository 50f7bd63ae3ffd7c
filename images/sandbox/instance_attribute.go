package sandbox

import (
	"encoding/base64"
	"net/url"

	"github.com/imgops/imgops/images/sandbox/query"
)

type instanceAttributeRequest struct {
	InstanceId string `query:",required"`
	Attribute  string `query:",required"`
}

type instanceAttributeAnswer struct {
	Devices       *query.List[instanceDevice] `xml:"blockDeviceMapping"`
	NoTermination *query.Value[bool]          `xml:"disableApiTermination"`
	NoStop        *query.Value[bool]          `xml:"disableApiStop"`
	ENA           *query.Value[bool]          `xml:"enaSupport"`
	Enclave       *struct {
		Enabled bool `xml:"enabled"`
	} `xml:"enclaveOptions"`
	EBSOptimized     *query.Value[bool]    `xml:"ebsOptimized"`
	ID               string                `xml:"instanceId"`
	ShutdownBehavior *query.Value[string]  `xml:"instanceInitiatedShutdownBehavior"`
	Type             *query.Value[string]  `xml:"instanceType"`
	Kernel           *query.Value[string]  `xml:"kernel"`
	Ramdisk          *query.Value[string]  `xml:"ramdisk"`
	ProductCodes     *query.List[string]   `xml:"productCodes"`
	RootDevice       *query.Value[string]  `xml:"rootDeviceName"`
	SourceDestCheck  *query.Value[bool]    `xml:"sourceDestCheck"`
	Sriov            *query.Value[string]  `xml:"sriovNetSupport"`
	UserData         *optionalValue        `xml:"userData"`
	Groups           *query.List[groupRef] `xml:"groupSet"`
}

// optionalValue has no <value> when there is none: an instance without user data.
type optionalValue struct {
	Value string `xml:"value,omitempty"`
}

func describeInstanceAttribute(q *call, in *instanceAttributeRequest) (*instanceAttributeAnswer, error) {
	i, err := q.instance(in.InstanceId)
	if err != nil {
		return nil, err
	}
	out := &instanceAttributeAnswer{ID: i.ID}
	text := func(s string) *query.Value[string] { return &query.Value[string]{Value: s} }
	truth := func(b bool) *query.Value[bool] { return &query.Value[bool]{Value: b} }
	switch in.Attribute {
	case "blockDeviceMapping":
		out.Devices = &query.List[instanceDevice]{Items: q.instanceItem(&i).Devices.Items}
	case "disableApiTermination":
		out.NoTermination = truth(i.NoTermination)
	case "disableApiStop":
		out.NoStop = truth(i.NoStop)
	case "enaSupport":
		out.ENA = truth(i.ENA)
	case "enclaveOptions":
		out.Enclave = &struct {
			Enabled bool `xml:"enabled"`
		}{}
	case "ebsOptimized":
		out.EBSOptimized = truth(i.EBSOptimized)
	case "instanceInitiatedShutdownBehavior":
		out.ShutdownBehavior = text(i.ShutdownBehavior)
	case "instanceType":
		out.Type = text(i.Type)
	case "kernel":
		out.Kernel = text("")
	case "ramdisk":
		out.Ramdisk = text("")
	case "productCodes":
		out.ProductCodes = &query.List[string]{}
	case "rootDeviceName":
		out.RootDevice = text(i.RootDevice)
	case "sourceDestCheck":
		out.SourceDestCheck = truth(i.SourceDestCheck)
	case "sriovNetSupport":
		out.Sriov = text(i.Sriov)
	case "userData":
		out.UserData = &optionalValue{base64.StdEncoding.EncodeToString(i.UserData)}
	case "groupSet":
		groups := q.groupRefs(&i)
		out.Groups = &groups
	default:
		return nil, badParameter(in.Attribute, "attribute", "It is not an attribute of instances.")
	}
	return out, nil
}

type boolParam struct{ Value bool }

type modifyInstanceRequest struct {
	InstanceId                        string `query:",required"`
	Attribute, Value                  string
	DisableApiTermination             *boolParam
	DisableApiStop                    *boolParam
	SourceDestCheck                   *boolParam
	EbsOptimized                      *boolParam
	EnaSupport                        *boolParam
	SriovNetSupport                   *valueParam
	InstanceType                      *valueParam
	InstanceInitiatedShutdownBehavior *valueParam
	UserData                          *struct{ Value []byte }
	GroupId                           []string
	BlockDeviceMapping                []instanceDeviceParam
}

// named moves the old form, Attribute and Value, to the attribute's own field.
func (in *modifyInstanceRequest) named() error {
	flags := map[string]**boolParam{"disableApiTermination": &in.DisableApiTermination, "disableApiStop": &in.DisableApiStop,
		"sourceDestCheck": &in.SourceDestCheck, "ebsOptimized": &in.EbsOptimized, "enaSupport": &in.EnaSupport}
	if to := flags[in.Attribute]; to != nil {
		*to = &boolParam{}
		return query.Decode(url.Values{"Value": {in.Value}}, *to)
	}
	switch in.Attribute {
	case "":
	case "sriovNetSupport":
		in.SriovNetSupport = &valueParam{in.Value}
	case "instanceType":
		in.InstanceType = &valueParam{in.Value}
	case "instanceInitiatedShutdownBehavior":
		in.InstanceInitiatedShutdownBehavior = &valueParam{in.Value}
	case "userData":
		data, err := base64.StdEncoding.DecodeString(in.Value)
		if err != nil {
			return badParameter(in.Value, "value", "User data must be base64.")
		}
		in.UserData = &struct{ Value []byte }{data}
	default:
		return badParameter(in.Attribute, "attribute", "It cannot be modified in this sandbox.")
	}
	return nil
}

func modifyInstanceAttribute(q *call, in *modifyInstanceRequest) (*done, error) {
	i, err := q.instance(in.InstanceId)
	if err != nil {
		return nil, err
	}
	if err := in.named(); err != nil {
		return nil, err
	}
	if (in.InstanceType != nil || in.SriovNetSupport != nil || in.UserData != nil || in.EnaSupport != nil || in.EbsOptimized != nil) && i.State != stopped {
		return nil, fail("IncorrectInstanceState", "The instance '%s' is not in the 'stopped' state.", i.ID)
	}
	set := func(to *bool, p *boolParam) {
		if p != nil {
			*to = p.Value
		}
	}
	set(&i.NoTermination, in.DisableApiTermination)
	set(&i.NoStop, in.DisableApiStop)
	set(&i.SourceDestCheck, in.SourceDestCheck)
	set(&i.EBSOptimized, in.EbsOptimized)
	set(&i.ENA, in.EnaSupport)
	if err := q.modifyValues(&i, in); err != nil {
		return nil, err
	}
	q.instances.Put(q.tx, i.ID, i)
	return success, nil
}

func (q *call) modifyValues(i *instanceRow, in *modifyInstanceRequest) error {
	if in.InstanceType != nil {
		t, err := typeByName(in.InstanceType.Value)
		if err != nil {
			return err
		}
		if t.Arch != i.Architecture {
			return fail("InvalidParameterValue", "The architecture '%s' of the specified instance type does not match the architecture '%s' of the instance", t.Arch, i.Architecture)
		}
		i.Type = t.Name
	}
	if p := in.InstanceInitiatedShutdownBehavior; p != nil {
		if p.Value != "stop" && p.Value != "terminate" {
			return badParameter(p.Value, "instanceInitiatedShutdownBehavior", "Valid values: stop, terminate.")
		}
		i.ShutdownBehavior = p.Value
	}
	if p := in.SriovNetSupport; p != nil {
		if p.Value != "simple" {
			return badParameter(p.Value, "sriovNetSupport", "It can only be set to simple, and not be unset.")
		}
		i.Sriov = p.Value
	}
	if in.UserData != nil {
		if len(in.UserData.Value) > maxUserData {
			return fail("InvalidParameterValue", "User data is limited to %d bytes", maxUserData)
		}
		i.UserData = in.UserData.Value
	}
	if len(in.GroupId) > 0 {
		groups, err := q.launchGroups(&runInstancesRequest{SecurityGroupId: in.GroupId})
		if err != nil {
			return err
		}
		i.Groups = groups
	}
	return q.modifyDevices(i, in.BlockDeviceMapping)
}

type modifyMetadataRequest struct {
	InstanceId string `query:",required"`
	metadataParam
}

type modifyMetadataAnswer struct {
	ID      string       `xml:"instanceId"`
	Options metadataItem `xml:"instanceMetadataOptions"`
}

func modifyInstanceMetadataOptions(q *call, in *modifyMetadataRequest) (*modifyMetadataAnswer, error) {
	i, err := q.instance(in.InstanceId)
	if err != nil {
		return nil, err
	}
	if i.State == terminated || i.State == shuttingDown {
		return nil, incorrectState(&i, "modified")
	}
	if i.Metadata, err = in.apply(i.Metadata); err != nil {
		return nil, err
	}
	if err := checkMetadataTags(i.Metadata, q.ownTags(i.ID)); err != nil {
		return nil, err
	}
	q.instances.Put(q.tx, i.ID, i)
	return &modifyMetadataAnswer{i.ID, i.Metadata.item(pending)}, nil
}
