package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A bucket does not say what is missing in it, so an S3 ledger has a log of what was added, as the commits of a branch are. It is
// objects log/NUMBER.json, which are made by conditional writes and so are counted without gaps whoever writes. Each names
// its entries and, by its SHA-256, the page before: the whole log can be told from the newest page's number and sum, its
// tip.
//
// Who has to know the whole log must not read a page for each run that ever was. So a page also repeats the entries of some
// pages before, and goes on after those: page 12 has those of 9 to 12 and goes on at 8, page 8 those of 1 to 8, as in a
// Fenwick tree. Of 10,000 pages 48 are read, and what a page repeats is bounded.
const (
	logTree   = "log"
	logSpan   = 256     // how many appends one page has at most
	logBytes  = 4 << 20 // how large a page becomes by repeating others
	logOwn    = 10_000  // how many entries are added by one page
	logNumber = "%010d"
)

// newest finds the newest page, from one on that is known. It is read to know its sum.
func (s *S3) newest(ctx context.Context, known position) (position, page, error) {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + logTree + "/")}
	if known.number > 1 {
		in.StartAfter = aws.String(s.prefix + pagePath(known.number-1))
	}
	last := 0
	for p := s3.NewListObjectsV2Paginator(s.api, in); p.HasMorePages(); {
		out, err := p.NextPage(ctx)
		if err != nil {
			return position{}, page{}, s.explain("listing", err)
		}
		for _, o := range out.Contents {
			last = max(last, pageOf(strings.TrimPrefix(aws.ToString(o.Key), s.prefix)))
		}
	}
	if last < known.number {
		return position{}, page{}, s.rewritten(pagePath(known.number), "%s of its log is gone", pagePath(known.number))
	}
	if last == 0 {
		return position{}, page{}, nil
	}
	p, sum, err := s.page(ctx, last, "")
	return position{last, sum}, p, err
}

// page reads a page, which is to have a sum unless that is "". One that is not there, or not as it was, is a *RewrittenError.
func (s *S3) page(ctx context.Context, number int, sum string) (page, string, error) {
	data, err := s.Read(ctx, pagePath(number))
	if errors.Is(err, ErrNoEntry) {
		return page{}, "", s.rewritten(pagePath(number), "%s of its log is gone", pagePath(number))
	}
	if err != nil {
		return page{}, "", err
	}
	p, err := readPage(number, data)
	var newer *NewerError
	if errors.As(err, &newer) {
		return p, "", Problem{pagePath(number), err}
	}
	if err != nil {
		return p, "", s.rewritten(pagePath(number), "%s of its log is not what imgops wrote: %v", pagePath(number), err)
	}
	is := wholeSum(data)
	if sum != "" && is != sum {
		return p, is, s.rewritten(pagePath(number), "%s of its log is not what imgops wrote: its SHA-256 is %s, and was %s", pagePath(number), is, sum)
	}
	return p, is, nil
}

// walk reads the pages that the whole log takes, from one down to its beginning, and collects their entries.
func (s *S3) walk(ctx context.Context, from position, first page) (map[string]logged, error) {
	all := map[string]logged{}
	for p := first; from.number > 0; {
		for _, e := range p.Entries {
			if _, newer := all[e.Path]; !newer {
				all[e.Path] = e
			}
		}
		if p.After == 0 {
			break
		}
		var err error
		if p, _, err = s.page(ctx, p.After, p.AfterID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// note adds entries to the log: after the newest page, or after whatever others have added meanwhile.
func (s *S3) note(ctx context.Context, entries []logged) error {
	for own := range slices.Chunk(entries, logOwn) {
		for try := 0; ; try++ {
			done, err := s.noteOnce(ctx, own)
			if err != nil {
				return err
			}
			if done {
				break
			}
			if try == tries {
				return fmt.Errorf("adding %d entries to %s: others wrote to its log first %d times", len(own), s, tries)
			}
			if err := waitTurn(ctx, try); err != nil {
				return fmt.Errorf("adding %d entries to %s: %w", len(own), s, err)
			}
		}
	}
	return nil
}

func (s *S3) noteOnce(ctx context.Context, own []logged) (done bool, err error) {
	head, last, err := s.newest(ctx, s.tip)
	if err != nil {
		return false, err
	}
	if head.number == 0 {
		if own, err = s.withOlder(ctx, own); err != nil {
			return false, err
		}
	}
	next, err := s.next(ctx, head, last, own)
	if err != nil {
		return false, err
	}
	data, err := next.encode()
	if err != nil {
		return false, err
	}
	_, err = s.create(ctx, pagePath(next.Number), data)
	if taken(err) {
		return false, nil
	}
	if err == nil {
		s.tip = position{next.Number, wholeSum(data)}
	}
	return err == nil, err
}

// withOlder adds to what the first page of a log names the entries from before there was one.
func (s *S3) withOlder(ctx context.Context, own []logged) ([]logged, error) {
	there, err := s.list(ctx, "")
	if err != nil {
		return nil, err
	}
	s.strange = nil
	for _, o := range there {
		named := slices.ContainsFunc(own, func(l logged) bool { return l.Path == o.Path })
		if !named && len(s.strange) < logOwn {
			s.strange = append(s.strange, o.Item)
		}
	}
	older, err := s.adopt(ctx)
	return slices.Concat(own, older), err
}

// next is the page after the newest one, with the entries of those before that it repeats.
func (s *S3) next(ctx context.Context, head position, last page, own []logged) (page, error) {
	p := page{Number: head.number + 1, After: head.number, AfterID: head.sum}
	all, size := map[string]logged{}, 0
	to := p.Number - min(p.Number&-p.Number, logSpan)
	for before := last; p.After > to; {
		for _, e := range before.Entries {
			if _, newer := all[e.Path]; !newer {
				all[e.Path] = e
				size += len(e.Path) + len(e.Sum) + len(e.ETag)
			}
		}
		if size > logBytes {
			break
		}
		p.Entries, p.After, p.AfterID = slices.Collect(maps.Values(all)), before.After, before.AfterID
		if p.After > to {
			var err error
			if before, _, err = s.page(ctx, p.After, p.AfterID); err != nil {
				return p, err
			}
		}
	}
	names := map[string]logged{}
	for _, e := range slices.Concat(p.Entries, own) {
		names[e.Path] = e
	}
	p.Entries = slices.Collect(maps.Values(names))
	return p, nil
}
