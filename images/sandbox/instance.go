package sandbox

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/imds"
	"github.com/imgops/imgops/images/sandbox/machines"
	"github.com/imgops/imgops/images/sandbox/state"
)

const (
	running      = "running"
	stopping     = "stopping"
	stopped      = "stopped"
	shuttingDown = "shutting-down"
	terminated   = "terminated"

	keepTerminated = time.Hour // EC2 shows terminated instances for about an hour
)

var stateCodes = map[string]int{pending: 0, running: 16, shuttingDown: 32, terminated: 48, stopping: 64, stopped: 80}

type stateItem struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

func instanceState(name string) stateItem { return stateItem{stateCodes[name], name} }

func instanceIndex(i instanceRow) []string {
	entries := []string{i.key()}
	if i.State != terminated {
		entries = append(entries, "alive", "address:"+i.Address)
	}
	return entries
}

// instance is one of the caller's, terminated ones included as long as EC2 shows them.
func (q *call) instance(id string) (instanceRow, error) {
	if !wellFormed(id, "i-") {
		return instanceRow{}, fail("InvalidInstanceID.Malformed", "Invalid id: \"%s\" (expecting \"i-...\")", id)
	}
	i, ok := q.instances.Get(q.tx, id)
	if !ok || i.place != q.place || i.goneBy(q.now) || q.unseen(i.Created) {
		return instanceRow{}, instanceNotFound(id)
	}
	return i, nil
}

func (i *instanceRow) goneBy(now time.Time) bool {
	return i.State == terminated && now.Sub(i.Ended) > keepTerminated
}

func (i *instanceRow) hostname() string { return "ip-" + strings.ReplaceAll(i.Address, ".", "-") }

// privateDNS is the name as EC2 makes it: us-east-1 has a domain of its own.
func (i *instanceRow) privateDNS() string {
	if i.Region == "us-east-1" {
		return i.hostname() + ".ec2.internal"
	}
	return i.hostname() + "." + i.Region + ".compute.internal"
}

func (i *instanceRow) mac() string {
	a, err := netip.ParseAddr(i.Address)
	if err != nil {
		return ""
	}
	return machines.MAC(a)
}

// machine is what the driver needs to boot the instance.
func (c *Cloud) machine(i instanceRow) (machines.Machine, error) {
	a, err := netip.ParseAddr(i.Address)
	m := machines.Machine{ID: i.ID, Disk: c.diskPath(i.VolumeID), Address: a, Name: i.hostname()}
	for _, v := range c.instanceVolumes(i) {
		if v.ID != i.VolumeID && (v.Plug == "" || v.Plug == attaching) {
			m.Volumes = append(m.Volumes, c.plug(v))
		}
	}
	return m, err
}

// InstanceMetadata is what the metadata service at 169.254.169.254 tells the instance with this address, as it is now.
// It is false when no instance has the address or the instance's metadata endpoint is disabled.
func (c *Cloud) InstanceMetadata(addr netip.Addr) (imds.Document, bool) {
	var doc imds.Document
	found := false
	_ = c.store.View(func(tx *state.Tx) error {
		for _, i := range c.instances.Scan(tx, "address:"+addr.String()) {
			if i.Metadata.Endpoint == "enabled" {
				doc, found = c.document(tx, *i), true
			}
		}
		return nil
	})
	return doc, found
}

func (c *Cloud) document(tx *state.Tx, i instanceRow) imds.Document {
	doc := imds.Document{InstanceID: i.ID, ImageID: i.ImageID, AccountID: i.Account, Region: i.Region, AvailabilityZone: i.Zone,
		InstanceType: i.Type, Architecture: i.Architecture, PrivateIP: i.Address, MAC: i.mac(), LocalHostname: i.privateDNS(),
		UserData: i.UserData, HTTPTokensRequired: i.Metadata.Tokens == "required", HopLimit: int(i.Metadata.HopLimit),
		LaunchTime: i.Launched, PendingTime: i.Created, ReservationID: i.ReservationID, AmiLaunchIndex: i.LaunchIndex,
		RootDevice: i.RootDevice, EBSDevices: c.startedWith(tx, &i), Spot: i.SpotRequest != ""}
	if i.KeyName != "" {
		doc.PublicKeys = []imds.PublicKey{{Name: i.KeyName, OpenSSH: i.PublicKey}}
	}
	if i.Metadata.Tags == "enabled" {
		row, _ := c.tags.Get(tx, i.key(i.ID))
		doc.Tags = map[string]string{}
		for key, value := range row.Tags {
			doc.Tags[key] = value
		}
	}
	for _, id := range i.Groups {
		g, _ := c.groups.Get(tx, id)
		doc.SecurityGroups = append(doc.SecurityGroups, g.Name)
	}
	return doc
}

type consoleAnswer struct {
	ID     string `xml:"instanceId"`
	Time   string `xml:"timestamp"`
	Output string `xml:"output,omitempty"` // base64
}

type consoleRequest struct {
	InstanceId string `query:",required"`
	Latest     bool
}

// getConsoleOutput is always the latest output; AWS has it only a while after boot unless Latest is set.
func getConsoleOutput(q *call, in *consoleRequest) (*consoleAnswer, error) {
	i, err := q.instance(in.InstanceId)
	if err != nil {
		return nil, err
	}
	text, err := q.driver.Console(i.ID)
	if err != nil {
		q.log.Warn("the sandbox could not read a console", "instance", i.ID, "error", err)
	}
	return &consoleAnswer{i.ID, timestamp(q.now), base64.StdEncoding.EncodeToString(text)}, nil
}
