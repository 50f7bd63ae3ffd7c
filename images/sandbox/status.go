package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"runtime/debug"
	"slices"

	"github.com/imgops/imgops/images/sandbox/state"
)

const statusPath = "/_imgops/status"

// Status is what GET /_imgops/status answers, as JSON. That an endpoint answers it is how imgops knows a sandbox.
type Status struct {
	ID       string         `json:"id"`
	Version  string         `json:"version"` // of the imgops module, as the Go toolchain stamped it
	PID      int            `json:"pid"`
	Machines string         `json:"machines"` // name of the driver
	Network  string         `json:"network"`  // the instances' addresses
	Accounts []string       `json:"accounts"` // those that have been used
	Counts   map[string]int `json:"counts"`   // instances by state and the number of the other resources

	Organizations []string `json:"organizations,omitempty"` // as the flags that make them

	Conditions []string `json:"conditions,omitempty"` // as the flags that ask for them; faults with their tally
}

// Status describes the sandbox as it is now.
func (c *Cloud) Status() Status {
	s := Status{Organizations: c.organizations.describe(), Conditions: c.simulation.describe(), ID: c.id, Version: version(), PID: os.Getpid(), Machines: c.driver.Name(), Network: c.network.String()}
	_ = c.store.View(func(tx *state.Tx) error {
		accounts := map[string]bool{}
		for _, l := range c.locations.All(tx) {
			accounts[l.Account] = true
		}
		s.Accounts = append([]string{}, slices.Sorted(maps.Keys(accounts))...)
		s.Counts = map[string]int{"images": 0, "snapshots": c.snapshots.Len(tx), "volumes": c.volumes.Len(tx),
			"key_pairs": c.keys.Len(tx), "parameters": c.parameters.Len(tx)}
		for _, i := range c.images.All(tx) {
			if i.Deregistered.IsZero() {
				s.Counts["images"]++
			}
		}
		for _, i := range c.instances.All(tx) {
			s.Counts["instances_"+i.State]++
		}
		return nil
	})
	return s
}

func (c *Cloud) serveStatus(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.Status())
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
