package sandbox

import (
	"slices"
	"strings"
	"time"
)

// Multi-Region keys are one key id with a resource of its own in each Region: what is said of one (policy, grants, state,
// tags, aliases) is not said of the others. One of them is the primary, the others are its replicas
// (docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html).

type multiRegionKey struct{ Arn, Region string }

type multiRegionConfiguration struct {
	MultiRegionKeyType string
	PrimaryKey         multiRegionKey
	ReplicaKeys        []multiRegionKey
}

func newMultiRegionID() string { return "mrk-" + strings.ReplaceAll(newUUID(), "-", "") }

// related are the resources of the key in all Regions, its own included, without those that are gone.
func (q *call) related(k *kmsKeyRow) []kmsKeyRow {
	var all []kmsKeyRow
	for _, r := range regionTable {
		if other, ok := q.kmsKeys.Get(q.tx, keyARN(place{k.Account, r.Name}, k.ID)); ok && !other.gone(q.now) {
			all = append(all, other)
		}
	}
	return all
}

func (q *call) multiRegion(k *kmsKeyRow) *multiRegionConfiguration {
	if k.Primary == "" {
		return nil
	}
	c := &multiRegionConfiguration{MultiRegionKeyType: "REPLICA", PrimaryKey: multiRegionKey{keyARN(place{k.Account, k.Primary}, k.ID), k.Primary}, ReplicaKeys: []multiRegionKey{}}
	if k.isPrimary() {
		c.MultiRegionKeyType = "PRIMARY"
	}
	for _, other := range q.related(k) {
		if !other.isPrimary() {
			c.ReplicaKeys = append(c.ReplicaKeys, multiRegionKey{other.arn(), other.Region})
		}
	}
	return c
}

func (k *kmsKeyRow) isPrimary() bool { return k.Primary == k.Region }

type replicateKeyRequest struct {
	KeyId, ReplicaRegion           string
	Description, Policy            string
	BypassPolicyLockoutSafetyCheck bool
	Tags                           []kmsTag
}

type replicateKeyAnswer struct {
	ReplicaKeyMetadata keyMetadata
	ReplicaPolicy      string
	ReplicaTags        []kmsTag
}

func replicateKey(q *call, in *replicateKeyRequest) (*replicateKeyAnswer, error) {
	k, err := q.ownKMSKey(in.KeyId, "ReplicateKey")
	if err != nil {
		return nil, err
	}
	there := q.at(in.ReplicaRegion)
	replica := kmsKeyRow{place: there.place, ID: k.ID, Description: in.Description, State: keyEnabled, Spec: k.Spec, Usage: k.Usage, Policy: in.Policy,
		Primary: k.Primary, Rotation: k.Rotation, Created: q.now}
	if replica.Policy == "" {
		replica.Policy = defaultKeyPolicy(q.Account)
	}
	existing, exists := q.kmsKeys.Get(q.tx, replica.arn())
	_, known := regionByName(in.ReplicaRegion)
	switch {
	case k.Primary == "" || !k.isPrimary():
		return nil, fail("UnsupportedOperationException", "%s is not a multi-Region primary key.", k.arn())
	case k.State != keyEnabled:
		return nil, k.invalidState()
	case !known:
		return nil, fail("ValidationException", "%s is not a Region to replicate a key to", in.ReplicaRegion)
	case exists && !existing.gone(q.now):
		return nil, fail("AlreadyExistsException", "Unable to replicate key %s to Region %s because a related multi-Region key already exists there", k.arn(), in.ReplicaRegion)
	}
	if err := there.checkKeyPolicy(&replica, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	tags, err := checkKMSTags(in.Tags)
	if err != nil {
		return nil, err
	}
	q.kmsKeys.Put(q.tx, replica.arn(), replica)
	there.setTags(keyResource(replica.arn()), tags)
	return &replicateKeyAnswer{q.metadata(&replica), replica.Policy, append([]kmsTag{}, in.Tags...)}, nil
}

type updatePrimaryRequest struct{ KeyId, PrimaryRegion string }

// updatePrimaryRegion makes a replica the primary key, and the primary a replica.
func updatePrimaryRegion(q *call, in *updatePrimaryRequest) (*struct{}, error) {
	k, err := q.ownKMSKey(in.KeyId, "UpdatePrimaryRegion")
	if err != nil {
		return nil, err
	}
	all := q.related(&k)
	at := slices.IndexFunc(all, func(o kmsKeyRow) bool { return o.Region == in.PrimaryRegion })
	switch {
	case k.Primary == "" || !k.isPrimary():
		return nil, fail("UnsupportedOperationException", "%s is not a multi-Region primary key.", k.arn())
	case at < 0:
		return nil, fail("NotFoundException", "Key %s has no replica in %s", k.arn(), in.PrimaryRegion)
	case k.State != keyEnabled:
		return nil, k.invalidState()
	case all[at].State != keyEnabled:
		return nil, all[at].invalidState()
	}
	for _, o := range all {
		o.Primary = in.PrimaryRegion
		q.kmsKeys.Put(q.tx, o.arn(), o)
	}
	return &struct{}{}, nil
}

// waitsForReplicas: the deletion of a primary key begins when its last replica is gone.
func (q *call) waitsForReplicas(k *kmsKeyRow) bool {
	return k.Primary != "" && k.isPrimary() && slices.ContainsFunc(q.related(k), func(o kmsKeyRow) bool { return !o.isPrimary() })
}

// deletion is the key with the waiting period that began when its last replica went, if it waited for that.
func (q *call) deletion(k kmsKeyRow) kmsKeyRow {
	if k.State != keyReplicaDeleting || q.waitsForReplicas(&k) {
		return k
	}
	last := time.Time{}
	for _, r := range regionTable {
		if other, ok := q.kmsKeys.Get(q.tx, keyARN(place{k.Account, r.Name}, k.ID)); ok && !other.isPrimary() && other.Delete.After(last) {
			last = other.Delete
		}
	}
	k.State, k.Delete = keyDeleting, last.AddDate(0, 0, k.WaitDays)
	return k
}
