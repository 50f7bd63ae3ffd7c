package roles

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// changedFiles is what is on disk and, as it is there, not what Git's index has.
type changedFiles struct {
	byID  map[plumbing.Hash]string // the first path with a content
	files map[string]changedFile   // by path below the fleet's root
}

// changedFile is one of them. What Git would store of it differs from what is on disk where a filter or a conversion stands
// between the two.
type changedFile struct {
	id  plumbing.Hash // of what Git would store
	raw plumbing.Hash // of what is on disk
}

func newChangedFiles() changedFiles {
	return changedFiles{byID: map[plumbing.Hash]string{}, files: map[string]changedFile{}}
}

func (c changedFiles) add(p string, id, raw plumbing.Hash) {
	c.files[p] = changedFile{id, raw}
	if old, ok := c.byID[id]; !ok || p < old {
		c.byID[id] = p
	}
}

// has says whether a file is one of them, with this content.
func (c changedFiles) has(p string, id plumbing.Hash) bool {
	f, ok := c.files[p]
	return ok && f.id == id
}

// find gives a path that holds the content; the one where it is looked for, if it does.
func (c changedFiles) find(hint string, id plumbing.Hash) (p string, ok bool) {
	if c.has(hint, id) {
		return hint, true
	}
	p, ok = c.byID[id]
	return p, ok
}

// doubt is a file on disk that is not as in Git's index, but may be what Git made of it.
type doubt struct {
	into       *pending // holds its entry
	at         int
	path       string // below the fleet's root
	raw, known plumbing.Hash
}

// cleans says whether Git, when it takes in a file, may store something else than what is on disk.
func (l *lineEnds) cleans(rel string, stat diskStat) bool {
	if stat.kind != 0 {
		return false
	}
	p := join(l.repo.prefix, rel)
	rules := l.of(dirOf(p))
	if as := rules.conversion(p, rules.converting()); as.ident || as.encoding != "" || as.filter != "" {
		return true
	}
	if text, _ := l.text(p); !text || stat.bytes > lineEndsMax {
		return false
	}
	data, err := readDisk(filepath.Join(l.repo.root, filepath.FromSlash(rel)))
	return err == nil && bytes.Contains(data, []byte("\r\n"))
}

// settle asks Git what it would store of the files in doubt, all at once, and takes that for what they are: one that was
// only touched or copied is no change then, though its bytes are not those of its blob.
func (c *checkout) settle(ctx context.Context) error {
	for rest := c.doubts; len(rest) > 0; {
		var names []byte
		for _, d := range rest {
			names = append(names, cQuoted(join(c.repo.prefix, d.path))+"\n"...)
		}
		out, _ := c.repo.gitBinary(ctx, names, "hash-object", "--stdin-paths")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		ids := strings.Fields(string(out))
		for i, d := range rest[:min(len(ids), len(rest))] {
			c.settled(d, plumbing.NewHash(ids[i]))
		}
		rest = rest[min(len(ids), len(rest)):]
		if len(rest) > 0 { // a filter refused it, or there is no git: it is a change, as it is
			c.settled(rest[0], rest[0].raw)
			rest = rest[1:]
		}
	}
	return nil
}

func (c *checkout) settled(d doubt, id plumbing.Hash) {
	d.into.entries[d.at].id = id
	if id != d.known {
		c.disk.add(d.path, id, d.raw)
	}
}

// cQuoted gives a path as Git reads it where lines hold paths: quoted, and escaped as in C.
func cQuoted(p string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(p) {
		switch c := p[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
