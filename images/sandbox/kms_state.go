package sandbox

import "time"

// changeKey stages a change of a key of the caller's that is not being deleted.
func (q *call) changeKey(name, action string, change func(*kmsKeyRow)) (*struct{}, error) {
	k, err := q.ownKMSKey(name, action)
	if err != nil {
		return nil, err
	}
	if k.dying() {
		return nil, k.invalidState()
	}
	change(&k)
	q.kmsKeys.Put(q.tx, k.arn(), k)
	return &struct{}{}, nil
}

func (k *kmsKeyRow) dying() bool { return k.State == keyDeleting || k.State == keyReplicaDeleting }

func (k *kmsKeyRow) invalidState() error {
	if k.State == keyDisabled {
		return fail("DisabledException", "%s is disabled.", k.arn())
	}
	return fail("KMSInvalidStateException", "%s is pending deletion.", k.arn())
}

func enableKey(q *call, in *keyRequest) (*struct{}, error) {
	return q.changeKey(in.KeyId, "EnableKey", func(k *kmsKeyRow) { k.State = keyEnabled })
}

func disableKey(q *call, in *keyRequest) (*struct{}, error) {
	return q.changeKey(in.KeyId, "DisableKey", func(k *kmsKeyRow) { k.State = keyDisabled })
}

type keyDescriptionRequest struct{ KeyId, Description string }

func updateKeyDescription(q *call, in *keyDescriptionRequest) (*struct{}, error) {
	return q.changeKey(in.KeyId, "UpdateKeyDescription", func(k *kmsKeyRow) { k.Description = in.Description })
}

type enableRotationRequest struct {
	KeyId                string
	RotationPeriodInDays *int32
}

func enableKeyRotation(q *call, in *enableRotationRequest) (*struct{}, error) {
	return q.changeKey(in.KeyId, "EnableKeyRotation", func(k *kmsKeyRow) { k.Rotation = true })
}

func disableKeyRotation(q *call, in *keyRequest) (*struct{}, error) {
	return q.changeKey(in.KeyId, "DisableKeyRotation", func(k *kmsKeyRow) { k.Rotation = false })
}

type rotationAnswer struct {
	KeyId                string
	KeyRotationEnabled   bool
	RotationPeriodInDays int `json:",omitempty"`
}

func getKeyRotationStatus(q *call, in *keyRequest) (*rotationAnswer, error) {
	k, err := q.permittedKey(in.KeyId, "GetKeyRotationStatus")
	out := &rotationAnswer{KeyId: k.arn(), KeyRotationEnabled: k.Rotation}
	if k.Rotation {
		out.RotationPeriodInDays = 365
	}
	return out, err
}

type scheduleDeletionRequest struct {
	KeyId               string
	PendingWindowInDays *int32
}

type scheduleDeletionAnswer struct {
	KeyId               string
	DeletionDate        *float64 `json:",omitempty"`
	KeyState            string
	PendingWindowInDays int32
}

func scheduleKeyDeletion(q *call, in *scheduleDeletionRequest) (*scheduleDeletionAnswer, error) {
	days := int32(keyMostWait)
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	if days < keyLeastWait || days > keyMostWait {
		return nil, fail("ValidationException", "1 validation error detected: Value '%d' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value from 7 to 30", days)
	}
	out := &scheduleDeletionAnswer{KeyState: keyDeleting, PendingWindowInDays: days}
	_, err := q.changeKey(in.KeyId, "ScheduleKeyDeletion", func(k *kmsKeyRow) {
		out.KeyId = k.arn()
		if q.waitsForReplicas(k) {
			k.State, k.WaitDays, out.KeyState = keyReplicaDeleting, int(days), keyReplicaDeleting
			return
		}
		k.State, k.Delete = keyDeleting, q.now.AddDate(0, 0, int(days))
		at := epoch(k.Delete)
		out.DeletionDate = &at
	})
	return out, err
}

// cancelKeyDeletion leaves the key disabled, as KMS does.
func cancelKeyDeletion(q *call, in *keyRequest) (*keyRequest, error) {
	k, err := q.ownKMSKey(in.KeyId, "CancelKeyDeletion")
	if err != nil {
		return nil, err
	}
	if !k.dying() {
		return nil, fail("KMSInvalidStateException", "%s is not pending deletion.", k.arn())
	}
	k.State, k.Delete, k.WaitDays = keyDisabled, time.Time{}, 0
	q.kmsKeys.Put(q.tx, k.arn(), k)
	return &keyRequest{k.arn()}, nil
}
