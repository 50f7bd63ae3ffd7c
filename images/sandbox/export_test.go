package sandbox

import (
	"maps"
	"slices"
)

// Actions are all calls that the sandbox has, as service:Action, so that a test of a client can show that it made each.
func Actions() []string {
	var out []string
	for _, services := range []map[string]map[string]action{queryServices, jsonServices} {
		for service, table := range services {
			for name := range maps.Keys(table) {
				out = append(out, service+":"+name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// EndpointOf is the service, Region and bucket in the name of a host of AWS, or "".
func EndpointOf(host string) string {
	e, ok := endpointOf(host)
	if !ok {
		return ""
	}
	return e.Service + " " + e.Region + " " + e.Bucket
}
