package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Record is an entry that was read; exactly one of its fields is set.
type Record struct {
	Image        *Image
	Inventory    *Inventory
	Verification *Verification
	Event        *Event
}

// fleet says whose the entry is.
func (r Record) fleet() string {
	switch {
	case r.Image != nil:
		return r.Image.Fleet
	case r.Inventory != nil:
		return r.Inventory.Fleet
	case r.Verification != nil:
		return r.Verification.Fleet
	}
	return r.Event.Fleet
}

// Problem is an entry that could not be read.
type Problem struct {
	Path string
	Err  error
}

func (p Problem) Error() string { return p.Path + ": " + p.Err.Error() }

// NewerError says that a newer imgops has written the entry.
type NewerError struct{ Schema int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("it is of schema %d, and this imgops reads up to %d; update imgops", e.Schema, Schema)
}

// Read decodes an entry. It takes nothing for granted: whoever can push to the ledger's branch may have written it.
func Read(path string, data []byte) (Record, error) {
	at, err := parsePath(path)
	if err != nil {
		return Record{}, err
	}
	if len(data) > MaxSize {
		return Record{}, tooLarge(int64(len(data)))
	}
	var head struct {
		Schema int
		Kind   string
	}
	if err := decode(data, &head); err != nil {
		return Record{}, err
	}
	switch {
	case head.Schema > Schema:
		return Record{}, &NewerError{head.Schema}
	case head.Schema < 1:
		return Record{}, errors.New("it says no schema")
	case head.Kind != at.kind:
		return Record{}, fmt.Errorf("it is of kind %q, and its path is that of kind %q", head.Kind, at.kind)
	}
	r, err := at.read(data)
	if id := fingerprint(data); err == nil && at.id != "" && at.id != id {
		return Record{}, fmt.Errorf("its content is not what its name says (%s, and it has %s): it was changed after imgops wrote it", at.id, id)
	}
	return r, err
}

func tooLarge(size int64) error {
	return fmt.Errorf("it has %d bytes, and an entry has at most %d", size, MaxSize)
}

func (at place) read(data []byte) (Record, error) {
	switch at.kind {
	case KindImage:
		i, err := read[Image](data)
		return Record{Image: i}, errors.Join(err, at.about(i.About))
	case KindInventory:
		i, err := read[Inventory](data)
		return Record{Inventory: i}, errors.Join(err, at.about(i.About))
	case KindVerification:
		v, err := read[Verification](data)
		return Record{Verification: v}, errors.Join(err, at.about(v.About), at.moment(v.At))
	}
	e, err := read[Event](data)
	if e.Role != at.role || e.Action != at.action {
		err = errors.Join(err, fmt.Errorf("it tells of action %q of role %q, and its path does not", e.Action, e.Role))
	}
	if !slices.Contains([]string{ActionPromote, ActionRollback, ActionHold, ActionRelease, ActionReject, ActionRetire}, e.Action) {
		err = errors.Join(err, fmt.Errorf("action %q is unknown", e.Action))
	}
	return Record{Event: e}, errors.Join(err, at.moment(e.At))
}

func (at place) about(a About) error {
	if a.Role != at.role || a.Digest != at.digest || a.Image != at.image {
		return fmt.Errorf("it is about image %q of role %q and digest %q, and its path is not", a.Image, a.Role, a.Digest)
	}
	return nil
}

func (at place) moment(t time.Time) error {
	if stamp(t) != at.at {
		return fmt.Errorf("it is of %s, and its path is not", t.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// read never gives nil.
func read[T any](data []byte) (*T, error) {
	v := new(T)
	return v, decode(data, v)
}

func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	err := d.Decode(into)
	if err == nil && !errors.Is(skip(d), io.EOF) {
		err = errors.New("something follows the JSON object")
	}
	if err != nil {
		return fmt.Errorf("it is not the JSON of an entry: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func skip(d *json.Decoder) error {
	_, err := d.Token()
	return err
}
