package sandbox

import (
	"slices"
	"strings"
	"time"
)

// kmsAliasRow is an alias; key: place/alias/NAME.
type kmsAliasRow struct {
	place
	Name             string // with "alias/"
	Target           string // ARN
	Created, Updated time.Time
}

var aliasName = lazy(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

// aliasTarget is the ARN of the key behind an alias, given without "alias/".
func (q *call) aliasTarget(p place, alias string) (string, bool) {
	if slices.Contains(managedKeys, alias) {
		return managedKeyARN(p, alias), true
	}
	a, ok := q.kmsAliases.Get(q.tx, p.key("alias/"+alias))
	return a.Target, ok && (!q.readsKeys() || !q.unseen(a.Created))
}

func checkAliasName(name string) error {
	switch {
	case !aliasName().MatchString(name):
		return fail("ValidationException", "1 validation error detected: Value '%s' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^alias/[a-zA-Z0-9/_-]+$", name)
	case strings.HasPrefix(name, "alias/aws/"):
		return fail("NotAuthorizedException", "The prefix alias/aws/ is reserved")
	}
	return nil
}

type aliasRequest struct{ AliasName, TargetKeyId string }

func createAlias(q *call, in *aliasRequest) (*struct{}, error) {
	if err := checkAliasName(in.AliasName); err != nil {
		return nil, err
	}
	if _, exists := q.kmsAliases.Get(q.tx, q.key(in.AliasName)); exists {
		return nil, fail("AlreadyExistsException", "An alias with the name arn:aws:kms:%s:%s:%s already exists", q.Region, q.Account, in.AliasName)
	}
	return q.putAlias(in, "CreateAlias", q.now)
}

func (q *call) putAlias(in *aliasRequest, action string, created time.Time) (*struct{}, error) {
	if strings.Contains(in.TargetKeyId, "alias/") {
		return nil, fail("ValidationException", "Aliases must refer to keys, not aliases")
	}
	k, err := q.ownKMSKey(in.TargetKeyId, action)
	if err != nil {
		return nil, err
	}
	if k.dying() {
		return nil, k.invalidState()
	}
	q.kmsAliases.Put(q.tx, q.key(in.AliasName), kmsAliasRow{q.place, in.AliasName, k.arn(), created, q.now})
	return &struct{}{}, nil
}

func (q *call) ownAlias(name string) (kmsAliasRow, error) {
	if err := checkAliasName(name); err != nil {
		return kmsAliasRow{}, err
	}
	a, ok := q.kmsAliases.Get(q.tx, q.key(name))
	if !ok {
		return a, fail("NotFoundException", "Alias arn:aws:kms:%s:%s:%s is not found.", q.Region, q.Account, name)
	}
	return a, nil
}

func updateAlias(q *call, in *aliasRequest) (*struct{}, error) {
	a, err := q.ownAlias(in.AliasName)
	if err != nil {
		return nil, err
	}
	return q.putAlias(in, "UpdateAlias", a.Created)
}

type deleteAliasRequest struct{ AliasName string }

func deleteAlias(q *call, in *deleteAliasRequest) (*struct{}, error) {
	if _, err := q.ownAlias(in.AliasName); err != nil {
		return nil, err
	}
	q.kmsAliases.Delete(q.tx, q.key(in.AliasName))
	return &struct{}{}, nil
}

type listAliasesRequest struct {
	KeyId string
	kmsPageRequest
}

type aliasEntry struct {
	AliasName, AliasArn, TargetKeyId string
	CreationDate, LastUpdatedDate    float64
}

type listAliasesAnswer struct {
	Aliases    []aliasEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

func listAliases(q *call, in *listAliasesRequest) (*listAliasesAnswer, error) {
	only := ""
	if in.KeyId != "" {
		k, err := q.ownOrManagedKey(in.KeyId)
		if err != nil {
			return nil, err
		}
		only = k.arn()
	}
	var all []aliasEntry
	add := func(a kmsAliasRow) {
		if only == "" || a.Target == only {
			all = append(all, aliasEntry{a.Name, "arn:aws:kms:" + q.Region + ":" + q.Account + ":" + a.Name,
				a.Target[strings.LastIndex(a.Target, "/")+1:], epoch(a.Created), epoch(a.Updated)})
		}
	}
	for _, a := range q.kmsAliases.Scan(q.tx, q.key()) {
		add(*a)
	}
	for _, name := range managedKeys {
		k := managedKey(q.place, name)
		add(kmsAliasRow{q.place, "alias/" + name, k.arn(), k.Created, k.Created})
	}
	rows, next, err := kmsPage(q, in.kmsPageRequest, 50, 100, all, func(a aliasEntry) string { return a.AliasName })
	return &listAliasesAnswer{append([]aliasEntry{}, rows...), next, next != ""}, err
}

func (q *call) ownOrManagedKey(name string) (kmsKeyRow, error) {
	k, err := q.kmsKey(name)
	if err == nil && k.Account != q.Account {
		err = kmsKeyMissing(k.arn())
	}
	return k, err
}
