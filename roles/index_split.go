package roles

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// mergeShared makes one of a split index (git-update-index(1), --split-index): the entries of the file that the extension
// "link" names, less those that were deleted, with those that were replaced, and the new ones.
func (r *Repo) mergeShared(x *gitIndex) error {
	if len(x.link) == 0 || plumbing.Hash(x.link[:len(plumbing.ZeroHash)]).IsZero() {
		return nil
	}
	id := x.link[:len(plumbing.ZeroHash)]
	name := filepath.Join(r.gitDir, "sharedindex."+hex.EncodeToString(id))
	data, _, err := readText(name)
	if err != nil {
		return fmt.Errorf("reading the shared part of Git's split index (`git update-index --no-split-index` writes it as one file): %w", err)
	}
	base, err := parseIndex(data)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if len(base.link) > 0 {
		return fmt.Errorf("reading %s: it is split itself: %w", name, errBadIndex)
	}
	return x.onto(base.entries)
}

// onto applies a split index to the shared entries.
func (x *gitIndex) onto(shared []indexEntry) error {
	var deleted, replaced []int
	if maps := x.link[len(plumbing.ZeroHash):]; len(maps) > 0 {
		var err error
		if deleted, maps, err = ewahBits(maps, len(shared)); err != nil {
			return err
		}
		if replaced, _, err = ewahBits(maps, len(shared)); err != nil {
			return err
		}
	}
	if len(replaced) > len(x.entries) {
		return errBadIndex
	}
	for i, at := range replaced { // they come first, in the shared order, and without names
		if x.entries[i].path != "" {
			return errBadIndex
		}
		path := shared[at].path
		shared[at] = x.entries[i]
		shared[at].path = path
	}
	gone := make([]bool, len(shared))
	for _, at := range deleted {
		gone[at] = true
	}
	fresh := x.entries[len(replaced):]
	list := make([]indexEntry, 0, len(shared)+len(fresh))
	for i, e := range shared {
		if !gone[i] {
			list = append(list, e)
		}
	}
	added := map[string]bool{}
	for _, e := range fresh {
		added[e.path] = true
	}
	list = append(slices.DeleteFunc(list, func(e indexEntry) bool { return added[e.path] }), fresh...)
	slices.SortStableFunc(list, func(a, b indexEntry) int { return strings.Compare(a.path, b.path) })
	x.entries = list
	return nil
}

// ewahBits reads a compressed bitmap (gitformat-bitmap(5), appendix A): the positions below size that are set. It gives
// what follows it.
func ewahBits(b []byte, size int) (set []int, rest []byte, err error) {
	const head, word, tail = 8, 8, 4
	if len(b) < head+tail {
		return nil, nil, errBadIndex
	}
	count := int(binary.BigEndian.Uint32(b[4:]))
	if count > (len(b)-head-tail)/word {
		return nil, nil, errBadIndex
	}
	words, rest := b[head:head+count*word], b[head+count*word+tail:]
	position := 0
	for len(words) > 0 {
		marker := binary.BigEndian.Uint64(words)
		words = words[word:]
		run, literals := int(marker>>1&0xffffffff)*64, int(marker>>33) //nolint:gosec // 32 and 31 bits
		if literals > len(words)/word {
			return nil, nil, errBadIndex
		}
		if marker&1 != 0 {
			for i := position; i < min(position+run, size); i++ {
				set = append(set, i)
			}
		}
		position += run
		for range literals {
			for w := binary.BigEndian.Uint64(words); w != 0; w &= w - 1 {
				set = append(set, position+bits.TrailingZeros64(w))
			}
			words, position = words[word:], position+64
		}
	}
	if len(set) > 0 && set[len(set)-1] >= size {
		return nil, nil, errBadIndex
	}
	return set, rest, nil
}

// expand puts, for each directory that a sparse index keeps as one entry (git-sparse-checkout(1), --sparse-index), the
// files of its tree: they are not on disk, and unchanged.
func (x *gitIndex) expand(s *store) error {
	if !slices.ContainsFunc(x.entries, indexEntry.isDir) {
		return nil
	}
	list := make([]indexEntry, 0, len(x.entries))
	for _, e := range x.entries {
		if !e.isDir() {
			list = append(list, e)
			continue
		}
		err := s.tree(e.id).walk(strings.TrimSuffix(e.path, "/"), func(p string, found entry) error {
			if !found.isDir() {
				list = append(list, indexEntry{path: p, id: found.id, mode: found.mode, skipWorktree: true})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reading directory %s of Git's sparse index: %w", Printable(e.path), err)
		}
	}
	x.entries = list
	return nil
}

// isDir says whether the entry is a whole directory of a sparse index.
func (e indexEntry) isDir() bool { return e.mode == filemode.Dir }
