package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

// rate is a token bucket's size and how many tokens come back per second.
type rate struct{ capacity, refill float64 }

// EC2's request buckets, one per account, Region and action (ec2-facts 7.1).
var (
	readRate     = rate{100, 20}
	listRate     = rate{50, 10} // of the actions in listActions, without filters and pages
	mutatingRate = rate{50, 5}
	requestRates = map[string]rate{
		"CopyImage":                      {100, 1},
		"RunInstances":                   {5, 2},
		"StartInstances":                 {5, 2},
		"TerminateInstances":             {100, 5},
		"DeregisterImage":                {100, 5},
		"ModifyImageAttribute":           {100, 5},
		"ModifySnapshotAttribute":        {100, 5},
		"CreateSnapshot":                 {100, 5},
		"DeleteSnapshot":                 {100, 5},
		"CreateTags":                     {100, 10},
		"DeleteTags":                     {100, 10},
		"CreateVolume":                   {100, 5},
		"DisassociateIamInstanceProfile": {100, 5},
		"EnableImageBlockPublicAccess":   {1, 0.1},
		"CreateStoreImageTask":           {50, 0.1},
	}
	// resourceRates are the buckets from which such a call takes a token for each instance.
	resourceRates = map[string]rate{
		"RunInstances":       {1000, 2},
		"TerminateInstances": {1000, 20},
		"StartInstances":     {1000, 2},
		"StopInstances":      {1000, 20},
	}
	listActions = []string{"DescribeInstances", "DescribeInstanceStatus", "DescribeNetworkInterfaces", "DescribeSecurityGroups",
		"DescribeSnapshots", "DescribeSpotInstanceRequests", "DescribeVolumes"}
)

// Parameter Store's rates without higher throughput (ec2-facts 5.15); the three ways to get a parameter share one.
var parameterRates = map[string]struct {
	bucket string
	rate
}{
	"GetParameter":        {"get", rate{40, 40}},
	"GetParameters":       {"get", rate{40, 40}},
	"GetParametersByPath": {"get", rate{40, 40}},
	"PutParameter":        {"put", rate{3, 3}},
}

// STS's one rate for all its calls with credentials, per account and Region
// (docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, "STS request quotas").
var tokenRate = rate{600, 600}

// KMS's rates in calls per second, per account and Region
// (docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html).
var keyRates = map[string]float64{
	"CancelKeyDeletion":    5,
	"CreateAlias":          5,
	"CreateGrant":          50,
	"CreateKey":            5,
	"DeleteAlias":          15,
	"DescribeKey":          2000,
	"DisableKey":           5,
	"DisableKeyRotation":   5,
	"EnableKey":            5,
	"EnableKeyRotation":    15,
	"GetKeyPolicy":         1000,
	"GetKeyRotationStatus": 1000,
	"ListAliases":          500,
	"ListGrants":           100,
	"ListKeyPolicies":      100,
	"ListKeys":             500,
	"ListResourceTags":     2000,
	"PutKeyPolicy":         15,
	"ReplicateKey":         5,
	"RetireGrant":          50,
	"RevokeGrant":          50,
	"ScheduleKeyDeletion":  15,
	"TagResource":          10,
	"UntagResource":        5,
	"UpdateAlias":          5,
	"UpdateKeyDescription": 5,
	"UpdatePrimaryRegion":  5,
}

type bucket struct {
	tokens float64
	at     time.Time
}

// take takes n tokens out, or none when there are fewer.
func (b *bucket) take(r rate, n float64, now time.Time) bool {
	if b.at.IsZero() {
		b.tokens = r.capacity
	} else {
		b.tokens = min(r.capacity, b.tokens+max(0, now.Sub(b.at).Seconds())*r.refill)
	}
	b.at = now
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// throttle is the error for a call that comes too soon, in the words of its service.
func (s *simulation) throttle(q *call) error {
	if !s.Throttle {
		return nil
	}
	switch q.service {
	case "sts":
		if !s.take(q.key("sts"), tokenRate, 1) {
			return fail("Throttling", "Rate exceeded") // repost.aws/knowledge-center/iam-sts-throttling-error
		}
	case "kms":
		if n, ok := keyRates[q.action]; ok && !s.take(q.key("kms", q.action), rate{n, n}, 1) {
			return fail("ThrottlingException", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")
		}
	case "ssm":
		if p, ok := parameterRates[q.action]; ok && !s.take(q.key("ssm", p.bucket), p.rate, 1) {
			return fail("ThrottlingException", "Rate exceeded")
		}
	case "ec2":
		r, kind := requestRate(q.action, q.params)
		ok := s.take(q.key("ec2", q.action, kind), r, 1)
		if r, counted := resourceRates[q.action]; ok && counted {
			ok = s.take(q.key("ec2", q.action, "resources"), r, resources(q.action, q.params))
		}
		if !ok {
			return query.Errorf("RequestLimitExceeded", "Request limit exceeded.").WithStatus(http.StatusServiceUnavailable)
		}
	}
	return nil
}

func (s *simulation) take(name string, r rate, n float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets[name]
	if !ok {
		b = &bucket{}
		s.buckets[name] = b
	}
	return b.take(r, n, s.clock())
}

// requestRate is the bucket of an action, which for some lists depends on how much they ask for.
func requestRate(action string, params url.Values) (r rate, kind string) {
	if r, ok := requestRates[action]; ok {
		return r, ""
	}
	if !isRead(action) {
		return mutatingRate, ""
	}
	if slices.Contains(listActions, action) && !narrowed(params) {
		return listRate, "all"
	}
	return readRate, ""
}

// idParam is an entry of a list of ids, such as InstanceId.1.
var idParam = lazy(`^[A-Za-z]+(Id|Name)\.\d+$`)

// narrowed: the request has a filter, ids or pages.
func narrowed(params url.Values) bool {
	for name := range params {
		if strings.HasPrefix(name, "Filter.") || name == "MaxResults" || name == "NextToken" || idParam().MatchString(name) {
			return true
		}
	}
	return false
}

// resources is how many instances the call is about.
func resources(action string, params url.Values) float64 {
	if action == "RunInstances" {
		n, err := strconv.Atoi(params.Get("MaxCount"))
		if err != nil || n < 1 {
			return 1 // the handler refuses it
		}
		return float64(n)
	}
	count := 0.0
	for name := range params {
		if strings.HasPrefix(name, "InstanceId.") {
			count++
		}
	}
	return count
}

// isRead: EC2 calls such actions non-mutating.
func isRead(action string) bool {
	for _, verb := range []string{"Describe", "Get", "List"} {
		if strings.HasPrefix(action, verb) {
			return true
		}
	}
	return false
}
