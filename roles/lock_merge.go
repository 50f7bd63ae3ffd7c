package roles

import (
	"bytes"
	"errors"
	"strings"
)

// MergeLock reads an imgops.lock that Git could not merge, with the conflict markers in it, and gives what both sides
// together say: all bases, each with the newer of its images, and the later stamp of each role. conflict is false where the
// file has no markers; the error is one of either side, or that the markers are no pairs.
func MergeLock(data []byte, file string) (l Lock, conflict bool, err error) {
	if conflictLineOf(data) == 0 {
		return Lock{}, false, nil
	}
	ours, theirs, ok := conflictSides(data)
	if !ok {
		s := &source{file: file, data: data}
		s.add(place{conflictLineOf(data), 1}, "merge conflict markers that are no pairs", "take one side with `git checkout --theirs "+lockFile+"`, run `imgops update`, and `git add` the file")
		return Lock{}, true, problemsError(s.problems)
	}
	l, err = ReadLock(ours, file)
	other, otherErr := ReadLock(theirs, file)
	if err := errors.Join(err, otherErr); err != nil {
		return Lock{}, true, err
	}
	for _, base := range other.Bases {
		mine, both := l.Base(base.Key)
		if !both || base.Created.After(mine.Created) || base.Created.Equal(mine.Created) && base.Image > mine.Image {
			l.Set(base)
		}
	}
	for role, at := range other.Refresh {
		if mine, both := l.Refresh[role]; !both || at.After(mine) {
			l.Refresh[role] = at
		}
	}
	return l, true, nil
}

// conflictSides gives the two files that a merge conflict has in it, in each of Git's styles (merge.conflictStyle).
func conflictSides(data []byte) (ours, theirs []byte, ok bool) {
	var sides [2]bytes.Buffer
	into := []int{0, 1}
	state := '>' // the last marker
	for line := range bytes.Lines(data) {
		marker, is := markerOf(line)
		switch {
		case !is:
			for _, side := range into {
				sides[side].Write(line)
			}
			continue
		case marker == '<' && state == '>':
			into = []int{0}
		case marker == '|' && state == '<':
			into = nil // what both had
		case marker == '=' && (state == '<' || state == '|'):
			into = []int{1}
		case marker == '>' && state == '=':
			into = []int{0, 1}
		default:
			return nil, nil, false
		}
		state = marker
	}
	return sides[0].Bytes(), sides[1].Bytes(), state == '>'
}

// markerOf gives the character of a conflict marker.
func markerOf(line []byte) (rune, bool) {
	text := strings.TrimRight(string(line), "\r\n")
	for _, c := range "<|=>" {
		mark := strings.Repeat(string(c), 7)
		if text == mark || strings.HasPrefix(text, mark+" ") {
			return c, true
		}
	}
	return 0, false
}
