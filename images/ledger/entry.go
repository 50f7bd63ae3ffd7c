package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Entry is one file of the ledger.
type Entry struct {
	Path string // slash separated
	Data []byte
}

// Item is an entry in a listing.
type Item struct {
	Path string
	Size int64 // in bytes
}

// Store keeps entries. Nothing is ever changed or removed in it. It is safe for concurrent use.
type Store interface {
	// Append adds entries, in one go. One that is there with the same content is left as it is; one that is there with
	// another content is a *ConflictError, and nothing is added (by a store that cannot add several at once: not that one).
	Append(ctx context.Context, message string, entries []Entry) error
	// Sync gets what others have added, so that List and Read see it. What was there before can be read whatever the error.
	Sync(ctx context.Context) error
	// Ready finds out, as far as can be, whether Append would succeed.
	Ready(ctx context.Context) error
	// List gives the entries whose path begins with prefix, sorted.
	List(ctx context.Context, prefix string) ([]Item, error)
	// Read gives the content of an entry; the error is ErrNoEntry when there is none.
	Read(ctx context.Context, path string) ([]byte, error)
	// String says where it is.
	String() string
}

// MaxSize is what one entry may hold, in bytes: far more than any inventory needs.
const MaxSize = 16 << 20

// ErrNoEntry says that the ledger has no such entry.
var ErrNoEntry = errors.New("no such entry in the ledger")

// ConflictError says that an entry is there already, with another content.
type ConflictError struct{ Path string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the ledger has %s already, with another content; it keeps what it has", e.Path)
}

// RewrittenError says that the ledger is no continuation of what was seen of it.
type RewrittenError struct {
	Where string // the branch, or the place in S3
	What  string // what is missing or not as it was
	Fix   string // what to run
}

func (e *RewrittenError) Error() string {
	return fmt.Sprintf("%s was rewritten: %s; %s", e.Where, e.What, e.Fix)
}

// ForeignError says that what is there is no ledger: it has files, and none that imgops has written.
type ForeignError struct {
	Where string // the branch
	File  string // one of its files
	Fix   string // what to run
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is no ledger: it holds %s and nothing that imgops has written, so it is left alone; %s", e.Where, e.File, e.Fix)
}

// DamagedError says that the store can be reached and that some of what it should hold cannot be read.
type DamagedError struct {
	Where string // the branch
	Err   error
	Fix   string // what to run
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged: %v; %s", e.Where, e.Err, e.Fix)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// RefusedError says that the store can be reached and does not take entries.
type RefusedError struct {
	Where string
	Err   error
	Fix   string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s takes no entries: %v; %s", e.Where, e.Err, e.Fix)
}

// Unwrap gives the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

const (
	imageTree = "images"
	eventTree = "events"
	pathTime  = "20060102T150405.000Z"
)

// lazy compiles an expression on first use: most runs read no ledger.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

var (
	nameForm   = lazy(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	digestForm = lazy(`^sha256:[0-9a-f]{64}$`)
	imageForm  = lazy(`^ami-[0-9a-z-]{1,60}$`)
	bucketForm = lazy(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	eventForm  = lazy(`^([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)-([a-z]+)-([0-9a-f]{12})\.json$`)
	testForm   = lazy(`^verification-([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)-([0-9a-f]{12})\.json$`)
)

// place is what a path says about its entry.
type place struct {
	kind, role, digest, image, at, action string
	id                                    string // fingerprint of the content; "" for a kind whose name has none
}

// parsePath takes a path apart. The error says why no entry can be there.
func parsePath(p string) (place, error) {
	parts := strings.Split(p, "/")
	bad := errors.New("it is no file that imgops has written")
	switch {
	case len(parts) == 3 && parts[0] == eventTree:
		m := eventForm().FindStringSubmatch(parts[2])
		if m == nil || !nameForm().MatchString(parts[1]) {
			return place{}, bad
		}
		return place{kind: KindEvent, role: parts[1], at: m[1], action: m[2], id: m[3]}, nil
	case len(parts) == 5 && parts[0] == imageTree:
		at := place{role: parts[1], digest: "sha256:" + parts[2], image: parts[3]}
		if !nameForm().MatchString(at.role) || !digestForm().MatchString(at.digest) || !imageForm().MatchString(at.image) {
			return place{}, bad
		}
		switch m := testForm().FindStringSubmatch(parts[4]); {
		case parts[4] == "image.json":
			at.kind = KindImage
		case parts[4] == "inventory.json":
			at.kind = KindInventory
		case m != nil:
			at.kind, at.at, at.id = KindVerification, m[1], m[2]
		default:
			return place{}, bad
		}
		return at, nil
	}
	return place{}, bad
}

// dir is where the entries about an image are.
func (a About) dir() string {
	return path.Join(imageTree, a.Role, strings.TrimPrefix(a.Digest, "sha256:"), a.Image)
}

// stamp is a time in a path.
func stamp(t time.Time) string { return t.UTC().Format(pathTime) }

// fingerprint tells entries of one moment apart, and an entry from one that was changed afterwards.
func fingerprint(data []byte) string {
	return wholeSum(data)[:12]
}

// wholeSum is the SHA-256 of a content, in hex.
func wholeSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
