package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Entry is the record as a file.
func (i Image) Entry() (Entry, error) {
	i.Schema, i.Kind, i.BuiltAt = Schema, KindImage, moment(i.BuiltAt)
	if i.Components == nil {
		i.Components = []Component{}
	}
	return entry(path.Join(i.dir(), "image.json"), i)
}

// Entry is the record as a file. Its lists are sorted.
func (i Inventory) Entry() (Entry, error) {
	i.Schema, i.Kind = Schema, KindInventory
	i.Packages = slices.SortedFunc(slices.Values(i.Packages), func(a, b Package) int { return strings.Compare(a.key(), b.key()) })
	i.Services = slices.SortedFunc(slices.Values(i.Services), func(a, b Service) int { return strings.Compare(a.Unit, b.Unit) })
	i.Etc = slices.SortedFunc(slices.Values(i.Etc), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return entry(path.Join(i.dir(), "inventory.json"), i)
}

// Entry is the record as a file.
func (v Verification) Entry() (Entry, error) {
	v.Schema, v.Kind, v.At = Schema, KindVerification, moment(v.At)
	if len(v.Report) == 0 {
		v.Report = json.RawMessage("null")
	}
	e, err := entry("", v)
	e.Path = path.Join(v.dir(), "verification-"+stamp(v.At)+"-"+fingerprint(e.Data)+".json")
	return e, err
}

// Entry is the record as a file.
func (v Event) Entry() (Entry, error) {
	v.Schema, v.Kind, v.At = Schema, KindEvent, moment(v.At)
	if v.Pointers == nil {
		v.Pointers = []Pointer{}
	}
	e, err := entry("", v)
	e.Path = path.Join(eventTree, v.Role, stamp(v.At)+"-"+v.Action+"-"+fingerprint(e.Data)+".json")
	return e, err
}

// moment is a time as records keep it.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func (p Package) key() string {
	return p.Manager + "\x00" + p.Name + "\x00" + p.Arch + "\x00" + p.Version
}

// entry encodes a record. What Read would not take is not written.
func entry(at string, record any) (Entry, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(record); err != nil {
		return Entry{}, fmt.Errorf("encoding a record for the ledger: %w", err)
	}
	e := Entry{Path: at, Data: lines(bytes.TrimSpace(b.Bytes()))}
	if len(e.Data) > MaxSize {
		return Entry{}, fmt.Errorf("a record for the ledger (%s) is larger than %d bytes", at, MaxSize)
	}
	return e, nil
}

// lines breaks compact JSON so that each field, and each element of a field, has a line of its own.
func lines(compact []byte) []byte {
	var b bytes.Buffer
	depth, text, escaped := 0, false, false
	for i, c := range compact {
		if text {
			b.WriteByte(c)
			text, escaped = escaped || c != '"', !escaped && c == '\\'
			continue
		}
		switch c {
		case '"':
			text = true
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 2 && !strings.ContainsRune("{[", rune(compact[i-1])) {
				newline(&b, depth)
			}
		}
		b.WriteByte(c)
		opens := (c == '{' || c == '[') && !strings.ContainsRune("}]", rune(compact[i+1]))
		if depth <= 2 && (opens || c == ',') {
			newline(&b, depth)
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func newline(b *bytes.Buffer, depth int) {
	b.WriteByte('\n')
	for range depth {
		b.WriteByte(' ')
	}
}
