package sandbox

import (
	"net"
	"slices"
	"strings"
)

// Domains are those below which the endpoints of AWS are, in all of its partitions that are open to the public.
func Domains() []string {
	return []string{"amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws", "api.amazonwebservices.com.cn"}
}

// endpoint is what the name of one of AWS' hosts says about the requests that it takes.
type endpoint struct {
	Service string
	Region  string // "" where the host is for all of them
	Bucket  string // of S3's virtual-hosted style
}

var regionLabel = lazy(`^[a-z]{2,4}(-[a-z]+)+-\d+$`)

// endpointOf reads the name of a host of AWS, such as ec2.us-east-1.amazonaws.com, with or without a port. ok is false for others,
// and thus for the sandbox's own address. (AWS General Reference, "AWS service endpoints"; S3 User Guide, "Virtual hosting of buckets")
func endpointOf(host string) (e endpoint, ok bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	labels := []string(nil)
	for _, d := range Domains() {
		if below, found := strings.CutSuffix(host, "."+d); found {
			labels = strings.Split(below, ".")
		}
	}
	if labels == nil {
		return e, false
	}
	last := func() string {
		if len(labels) == 0 {
			return ""
		}
		return labels[len(labels)-1]
	}
	drop := func() { labels = labels[:len(labels)-1] }
	if last() == "vpce" {
		drop()
	}
	if regionLabel().MatchString(last()) && !strings.HasPrefix(last(), "s3-") {
		e.Region = last()
		drop()
	}
	if last() == "dualstack" {
		drop()
	}
	e.Service = last()
	if e.Service != "" {
		drop()
	}
	if e.Service == "s3" || strings.HasPrefix(e.Service, "s3-") {
		if region := strings.TrimPrefix(e.Service, "s3-"); regionLabel().MatchString(region) { // s3-eu-west-1, as it was written once
			e.Region = region
		}
		e.Service, e.Bucket = "s3", strings.Join(labels, ".")
		return e, true
	}
	e.Service = strings.TrimSuffix(e.Service, "-fips")
	if e.Region == "" && slices.Contains([]string{"ec2", "sts"}, e.Service) {
		e.Region = defaultRegion // what has no Region in its name is there
	}
	return e, true
}

const defaultRegion = "us-east-1"

// misdirected says of a request that was sent to a host of AWS whether it was signed for another service or Region.
func misdirected(host string, s scope) authFault {
	e, ok := endpointOf(host)
	switch {
	case !ok:
		return faultNone
	case e.Service != s.Service && (here(e.Service) || here(s.Service)):
		return faultService
	case e.Region != "" && e.Region != s.Region:
		return faultRegion
	}
	return faultNone
}

// here says whether a service is in the sandbox.
func here(service string) bool {
	return service == "s3" || queryServices[service] != nil || jsonServices[service] != nil
}
