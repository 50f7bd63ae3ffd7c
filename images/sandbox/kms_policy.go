package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
)

// A key policy says who may use the key. It is evaluated as far as clients of images go: Effect, Principal, Action,
// NotAction and the conditions on kms:CallerAccount, aws:PrincipalAccount, aws:PrincipalArn, aws:PrincipalOrgID,
// aws:PrincipalOrgPaths, kms:ViaService and kms:GrantIsForAWSResource. A condition that is not known here makes an Allow not apply and a Deny apply, so that nothing
// passes a rehearsal because the sandbox did not understand it. There is no IAM: where the policy admits an account
// (its root), every identity of that account may.

type keyPolicy struct {
	Version   string `json:",omitempty"`
	ID        string `json:"Id,omitempty"`
	Statement oneOrMore[policyStatement]
}

type policyStatement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Principal principals
	Action    oneOrMore[string]                       `json:",omitempty"`
	NotAction oneOrMore[string]                       `json:",omitempty"`
	Resource  oneOrMore[string]                       `json:",omitempty"`
	Condition map[string]map[string]oneOrMore[string] `json:",omitempty"`
}

// oneOrMore is a list that JSON policies may write as its only entry.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var single T
	if err := json.Unmarshal(b, &single); err != nil {
		return err
	}
	*l = []T{single}
	return nil
}

// principals are those of "Principal": {"AWS": ...}, or "*". Principals of other kinds (services) do not call here.
type principals []string

func (p *principals) UnmarshalJSON(b []byte) error {
	var everyone string
	if json.Unmarshal(b, &everyone) == nil {
		*p = principals{everyone}
		return nil
	}
	var kinds map[string]oneOrMore[string]
	err := json.Unmarshal(b, &kinds)
	*p = principals(kinds["AWS"])
	return err
}

func (p principals) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string][]string{"AWS": p})
}

// defaultKeyPolicy is that of a key made without one: the account, and with it whom its IAM lets, may do everything.
func defaultKeyPolicy(account string) string {
	policy := keyPolicy{Version: "2012-10-17", ID: "key-default-1", Statement: oneOrMore[policyStatement]{{Sid: "Enable IAM User Permissions", Effect: "Allow",
		Principal: principals{"arn:aws:iam::" + account + ":root"}, Action: oneOrMore[string]{"kms:*"}, Resource: oneOrMore[string]{"*"}}}}
	b, err := json.Marshal(policy)
	if err != nil { // strings in structs
		return ""
	}
	return string(b)
}

func parseKeyPolicy(text string) (keyPolicy, error) {
	var policy keyPolicy
	if len(text) > 32<<10 {
		return policy, fail("LimitExceededException", "A key policy can have 32768 bytes at most")
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return policy, fail("MalformedPolicyDocumentException", "The key policy is not valid JSON: %v", err)
	}
	for _, s := range policy.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" || len(s.Action)+len(s.NotAction) == 0 || len(s.Resource) == 0 {
			return policy, fail("MalformedPolicyDocumentException", "Every statement of a key policy needs Effect (Allow or Deny), Action and Resource")
		}
	}
	if len(policy.Statement) == 0 {
		return policy, fail("MalformedPolicyDocumentException", "The key policy has no statement")
	}
	return policy, nil
}

// checkKeyPolicy also refuses a policy that locks its author out, unless that check is bypassed.
func (q *call) checkKeyPolicy(k *kmsKeyRow, bypass bool) error {
	if _, err := parseKeyPolicy(k.Policy); err != nil {
		return err
	}
	if !bypass && !q.mayByPolicy(k, "PutKeyPolicy") {
		return fail("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}

// may reports whether the key's policy or one of its grants lets the caller do the action.
func (q *call) may(k *kmsKeyRow, action string) bool {
	return q.mayByPolicy(k, action) || slices.ContainsFunc(k.Grants, func(g kmsGrant) bool { return g.allows(q.who, action) })
}

func (q *call) mayByPolicy(k *kmsKeyRow, action string) bool {
	policy, err := parseKeyPolicy(k.Policy)
	if err != nil {
		return false
	}
	allowed := false
	for _, s := range policy.Statement {
		if !s.names(q.who) || !s.covers(action) || !q.holds(s, action) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s *policyStatement) covers(action string) bool {
	is := func(pattern string) bool { return wildcard(strings.ToLower(pattern), strings.ToLower("kms:"+action)) }
	if len(s.NotAction) > 0 {
		return !slices.ContainsFunc(s.NotAction, is)
	}
	return slices.ContainsFunc(s.Action, is)
}

func (s *policyStatement) names(who identity) bool {
	return slices.ContainsFunc(s.Principal, func(p string) bool { return isPrincipal(p, who) })
}

// isPrincipal reports whether who is meant: by everyone, by the account, by its own ARN, or by the ARN of the role that
// its session is of.
func isPrincipal(p string, who identity) bool {
	if p == "*" || p == who.Account || p == "arn:aws:iam::"+who.Account+":root" || p == who.ARN {
		return true
	}
	return who.Role && p == roleOf(who.ARN)
}

// roleOf is the role's ARN of arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION.
func roleOf(arn string) string {
	session := strings.Replace(strings.Replace(arn, ":sts:", ":iam:", 1), ":assumed-role/", ":role/", 1)
	return session[:max(strings.LastIndex(session, "/"), 0)]
}

// holds evaluates a statement's conditions; one that cannot be evaluated counts against the caller.
func (q *call) holds(s policyStatement, action string) bool {
	principal := q.who.ARN
	if q.who.Role {
		principal = roleOf(principal)
	}
	facts := map[string]string{"kms:calleraccount": q.Account, "aws:principalaccount": q.Account, "aws:principalarn": principal}
	if path := q.organizations.paths[q.Account]; path != "" {
		facts["aws:principalorgid"], facts["aws:principalorgpaths"] = q.organizations.of(q.Account), path+"/"
	}
	if q.forEBS {
		facts["kms:viaservice"] = "ec2." + q.Region + ".amazonaws.com"
		if action == "CreateGrant" {
			facts["kms:grantisforawsresource"] = "true"
		}
	}
	for operator, wants := range s.Condition {
		for key, values := range wants {
			holds, known := condition(operator, facts, strings.ToLower(key), values)
			if !known {
				return s.Effect == "Deny"
			}
			if !holds {
				return false
			}
		}
	}
	return true
}

var knownFacts = []string{"kms:calleraccount", "aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "kms:viaservice", "kms:grantisforawsresource"}

func condition(operator string, facts map[string]string, key string, values []string) (holds, known bool) {
	if !slices.Contains(knownFacts, key) {
		return false, false
	}
	fact, present := facts[key]
	same := func(v string) bool { return v == fact }
	like := func(v string) bool { return wildcard(v, fact) }
	switch operator {
	case "StringEquals", "ArnEquals", "ForAnyValue:StringEquals":
		return present && slices.ContainsFunc(values, same), true
	case "StringLike", "ArnLike", "ForAnyValue:StringLike":
		return present && slices.ContainsFunc(values, like), true
	case "StringNotEquals", "ArnNotEquals":
		return !slices.ContainsFunc(values, same), true
	case "Bool":
		return present && slices.ContainsFunc(values, same) || !present && slices.Contains(values, "false"), true
	}
	return false, false
}

type keyPolicyRequest struct{ KeyId, PolicyName string }

type keyPolicyAnswer struct{ Policy, PolicyName string }

func getKeyPolicy(q *call, in *keyPolicyRequest) (*keyPolicyAnswer, error) {
	k, err := q.permittedKey(in.KeyId, "GetKeyPolicy")
	switch {
	case err != nil:
		return nil, err
	case k.Account != q.Account:
		return nil, q.keyDenied(&k, "GetKeyPolicy")
	case in.PolicyName != "" && in.PolicyName != "default":
		return nil, fail("NotFoundException", "No such policy exists")
	}
	return &keyPolicyAnswer{k.Policy, "default"}, nil
}

type putKeyPolicyRequest struct {
	KeyId, PolicyName, Policy      string
	BypassPolicyLockoutSafetyCheck bool
}

func putKeyPolicy(q *call, in *putKeyPolicyRequest) (*struct{}, error) {
	k, err := q.ownKMSKey(in.KeyId, "PutKeyPolicy")
	if err != nil {
		return nil, err
	}
	if in.PolicyName != "" && in.PolicyName != "default" {
		return nil, fail("NotFoundException", "No such policy exists")
	}
	k.Policy = in.Policy
	if err := q.checkKeyPolicy(&k, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	q.kmsKeys.Put(q.tx, k.arn(), k)
	return &struct{}{}, nil
}

type listKeyPoliciesRequest struct {
	KeyId string
	kmsPageRequest
}

type listKeyPoliciesAnswer struct {
	PolicyNames []string
	Truncated   bool
}

func listKeyPolicies(q *call, in *listKeyPoliciesRequest) (*listKeyPoliciesAnswer, error) {
	_, err := q.permittedKey(in.KeyId, "ListKeyPolicies")
	return &listKeyPoliciesAnswer{PolicyNames: []string{"default"}}, err
}
