package sandbox

import (
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
)

type tagParam struct{ Key, Value string }

type callerIdentityAnswer struct {
	Arn, UserId, Account string
}

func getCallerIdentity(q *call, _ *struct{}) (*callerIdentityAnswer, error) {
	return &callerIdentityAnswer{Arn: q.who.ARN, UserId: q.who.UserID, Account: q.Account}, nil
}

type sessionCredentials struct {
	AccessKeyId, SecretAccessKey, SessionToken, Expiration string
}

type assumeRoleRequest struct {
	RoleArn         string `query:",required"`
	RoleSessionName string `query:",required"`
	DurationSeconds *int32
	ExternalId      *string
	Policy          *string
	PolicyArns      []struct {
		Arn string `query:"arn"`
	} `query:"PolicyArns.member"`
	Tags           []tagParam `query:"Tags.member"`
	TransitiveTags []string   `query:"TransitiveTagKeys.member"`
	SourceIdentity *string
}

type assumedRole struct{ AssumedRoleId, Arn string }

type assumeRoleAnswer struct {
	Credentials     sessionCredentials
	AssumedRoleUser assumedRole
	SourceIdentity  string `xml:",omitempty"`
}

var (
	roleARN     = lazy(`^arn:aws:iam::(\d{12}):role/((?:[\x21-\x7e]+/)?)([\w+=,.@-]{1,64})$`)
	sessionName = lazy(`^[\w+=,.@-]{2,64}$`)
	externalID  = lazy(`^[\w+=,.@:/-]+$`)
)

// assumeRole gives credentials of any role of any account: the sandbox has no IAM to say who may. Session policies do
// not restrict anything here, so they are refused rather than ignored.
func assumeRole(q *call, in *assumeRoleRequest) (*assumeRoleAnswer, error) {
	role := roleARN().FindStringSubmatch(in.RoleArn)
	switch {
	case role == nil:
		return nil, stsInvalid("%s is not the ARN of a role (arn:aws:iam::<12 digits>:role/<name>)", in.RoleArn)
	case !sessionName().MatchString(in.RoleSessionName):
		return nil, stsInvalid("1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy constraint: "+
			"2 to 64 characters of [\\w+=,.@-]", in.RoleSessionName)
	case in.ExternalId != nil && (!externalID().MatchString(*in.ExternalId) || len(*in.ExternalId) < 2 || len(*in.ExternalId) > 1224):
		return nil, stsInvalid("1 validation error detected: Value at 'externalId' failed to satisfy constraint: " +
			"2 to 1224 characters of [\\w+=,.@:/-]")
	case in.Policy != nil || len(in.PolicyArns) > 0:
		return nil, stsInvalid("session policies are not enforced by this sandbox; leave Policy and PolicyArns out")
	}
	limit := int32(43200)
	if q.who.Role {
		limit = 3600
	}
	seconds, err := duration(in.DurationSeconds, 3600, limit)
	if err != nil && q.who.Role {
		return nil, stsInvalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	if err != nil {
		return nil, err
	}
	account, name := role[1], role[3]
	id := stableID("AROA", account, name) + ":" + in.RoleSessionName
	arn := "arn:aws:sts::" + account + ":assumed-role/" + name + "/" + in.RoleSessionName
	creds := q.newSession(identity{Account: account, ARN: arn, UserID: id, Role: true}, seconds)
	out := &assumeRoleAnswer{Credentials: creds, AssumedRoleUser: assumedRole{id, arn}}
	if in.SourceIdentity != nil {
		out.SourceIdentity = *in.SourceIdentity
	}
	return out, nil
}

type sessionTokenRequest struct {
	DurationSeconds *int32
	SerialNumber    *string
	TokenCode       *string
}

type sessionTokenAnswer struct{ Credentials sessionCredentials }

func getSessionToken(q *call, in *sessionTokenRequest) (*sessionTokenAnswer, error) {
	if q.who.Temporary {
		return nil, query.Errorf("AccessDenied", "Cannot call GetSessionToken with session credentials").WithStatus(403)
	}
	seconds, err := duration(in.DurationSeconds, 43200, 129600)
	if err != nil {
		return nil, err
	}
	return &sessionTokenAnswer{q.newSession(q.who, seconds)}, nil
}

func duration(given *int32, otherwise, limit int32) (int32, error) {
	if given == nil {
		return min(otherwise, limit), nil
	}
	if *given < 900 || *given > limit {
		return 0, stsInvalid("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: "+
			"Member must have value from 900 to %d", *given, limit)
	}
	return *given, nil
}

// newSession makes temporary credentials and forgets those that have been dead for a day.
func (q *call) newSession(who identity, seconds int32) sessionCredentials {
	for key, s := range q.sessions.All(q.tx) {
		if q.now.Sub(s.Expires) > 24*time.Hour {
			q.sessions.Delete(q.tx, key)
		}
	}
	key := "ASIA" + randomText(upperDigits, 16)
	s := sessionRow{Secret: randomText(secretLetter, 40), Token: "sandbox." + randomText(secretLetter, 240), Account: who.Account,
		ARN: who.ARN, UserID: who.UserID, Role: who.Role, Expires: q.now.Add(time.Duration(seconds) * time.Second).Truncate(time.Second)}
	q.sessions.Put(q.tx, key, s)
	return sessionCredentials{key, s.Secret, s.Token, strings.Replace(timestamp(s.Expires), ".000Z", "Z", 1)}
}

func stsInvalid(format string, args ...any) error { return fail("ValidationError", format, args...) }
