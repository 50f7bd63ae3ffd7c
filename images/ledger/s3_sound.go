package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Sync checks that the ledger has all that its log names, as it was written, and that the log is whole. A *RewrittenError says
// what is missing. Every read asks S3, so there is nothing to get.
func (s *S3) Sync(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sound(ctx)
}

func (s *S3) sound(ctx context.Context) error {
	head, last, err := s.newest(ctx, s.tip)
	if err != nil {
		return err
	}
	named, err := s.walk(ctx, head, last)
	if err != nil {
		return err
	}
	there, err := s.list(ctx, "") // later than the log, which names what is there
	if err != nil {
		return err
	}
	var lost []string
	s.strange = nil
	same := make([]bool, len(there))
	err = s.each(len(there), func(i int) (err error) {
		is := there[i]
		if was, ok := named[is.Path]; ok {
			same[i], err = s.same(ctx, was, is)
		}
		return err
	})
	for i, is := range there {
		if _, ok := named[is.Path]; !ok {
			s.strange = append(s.strange, is.Item)
		} else if same[i] {
			delete(named, is.Path)
		}
	}
	for path := range named {
		lost = append(lost, path)
	}
	if err == nil && len(lost) > 0 {
		slices.Sort(lost)
		return s.lost(lost, head)
	}
	if err == nil {
		s.tip = head
	}
	return err
}

// same says that an object has the content that the log names. Its ETag may be another one, for it was restored.
func (s *S3) same(ctx context.Context, was logged, is listed) (bool, error) {
	if was.ETag == is.tag && is.tag != "" {
		return true, nil
	}
	if is.Size > MaxSize {
		return false, nil
	}
	data, err := s.Read(ctx, is.Path)
	if errors.Is(err, ErrNoEntry) {
		return false, nil
	}
	return err == nil && wholeSum(data) == was.Sum, err
}

// maxLost is how many entries the error for a ledger that lacks some names.
const maxLost = 5

func (s *S3) lost(paths []string, head position) error {
	more := ""
	if n := len(paths) - maxLost; n > 0 {
		more, paths = fmt.Sprintf(" and %d more", n), paths[:maxLost]
	}
	return s.rewritten(paths[0], "%s%s: not there as its log (%s) has it", strings.Join(paths, ", "), more, pagePath(head.number))
}

// rewritten is the error of a ledger that lacks a path, or has another content there.
func (s *S3) rewritten(path, format string, args ...any) error {
	return &RewrittenError{Where: s.String(), What: fmt.Sprintf(format, args...), Fix: s.fix(path, "")}
}

// fix says how to have back what is missing, and how to go on without; accept is what that takes besides.
func (s *S3) fix(path, accept string) string {
	if accept != "" {
		accept = " && " + accept
	}
	return fmt.Sprintf("to have it back, where the bucket keeps versions: aws s3api list-object-versions --bucket %[1]s --prefix %[2]s%[3]s shows what hides it, and "+
		"aws s3api delete-object --bucket %[1]s --key %[2]s%[3]s --version-id ID takes that away; from a backup: aws s3 cp BACKUP s3://%[1]s/%[2]s%[3]s; "+
		"if it was meant, begin the log anew: aws s3 rm --recursive s3://%[1]s/%[2]s%[4]s/%[5]s", s.bucket, s.prefix, path, logTree, accept)
}

// Ready is Sync, and asks whether writing is allowed, as far as that can be told without writing: a conditional write of what
// is there already changes nothing. Where there is nothing yet, that shows when something is written.
func (s *S3) Ready(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.sound(ctx); err != nil || s.tip.number == 0 {
		return err
	}
	path := pagePath(s.tip.number)
	data, _, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	if _, err = s.create(ctx, path, data); taken(err) {
		return nil
	}
	return err
}

// Tip is how far the log had come when it was last read or written: a page's number and sum. "" when there is none.
func (s *S3) Tip() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tip.String()
}

// Lacks is a *RewrittenError when what was the log's newest page once is not there any more. accept is how to have that
// forgotten.
func (s *S3) Lacks(ctx context.Context, tip, accept string) error {
	at, err := parsePosition(tip)
	if err != nil {
		return &RewrittenError{Where: s.String(), What: err.Error(), Fix: "to go on without it: " + accept}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at == s.tip {
		return nil
	}
	_, _, err = s.page(ctx, at.number, at.sum)
	var rewritten *RewrittenError
	if errors.As(err, &rewritten) {
		rewritten.Fix = s.fix(pagePath(at.number), accept)
	}
	return err
}

// unlogged leaves out what the log names already.
func (s *S3) unlogged(ctx context.Context, put []logged) ([]logged, error) {
	head, last, err := s.newest(ctx, s.tip)
	if err != nil {
		return nil, err
	}
	named, err := s.walk(ctx, head, last)
	s.tip = head
	return slices.DeleteFunc(put, func(l logged) bool { return named[l.Path].Sum == l.Sum }), err
}

// adopt gives the entries that Sync found and the log does not name, for it to do so from now on: of a run that was killed
// before it did, or from a time without a log. What imgops cannot read is none.
func (s *S3) adopt(ctx context.Context) ([]logged, error) {
	found := make([]logged, len(s.strange))
	err := s.each(len(found), func(i int) error {
		item := s.strange[i]
		if _, err := parsePath(item.Path); err != nil || item.Size > MaxSize {
			return nil //nolint:nilerr // it is garbage, which Check names
		}
		data, tag, err := s.get(ctx, item.Path)
		if errors.Is(err, ErrNoEntry) {
			return nil
		}
		if _, bad := Read(item.Path, data); err == nil && bad == nil {
			found[i] = logged{item.Path, wholeSum(data), tag}
		}
		return err
	})
	s.strange = nil
	return slices.DeleteFunc(found, func(l logged) bool { return l.Path == "" }), err
}
