package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// S3API is what an S3 store needs.
type S3API interface {
	s3.ListObjectsV2APIClient
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// S3 keeps the ledger in a bucket. Objects are only ever made by conditional writes (If-None-Match: *), so that nothing is
// overwritten; a bucket policy that denies s3:DeleteObject, or an Object Lock, keeps others from removing them. That
// somebody did all the same shows in its log (s3_log.go).
type S3 struct {
	api            S3API
	bucket, prefix string // the prefix is empty or ends in a slash

	mu      sync.Mutex
	tip     position // of the log, as it was seen last
	strange []Item   // entries that the log does not name, as Sync has found them
}

var _ Store = (*S3)(nil)

// NewS3 makes the store of a place s3://BUCKET or s3://BUCKET/PREFIX.
func NewS3(api S3API, place string) (*S3, error) {
	bucket, prefix, err := ParseS3(place)
	return &S3{api: api, bucket: bucket, prefix: prefix}, err
}

// ParseS3 takes s3://BUCKET/PREFIX apart. The prefix is empty or ends in a slash.
func ParseS3(place string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(place, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	if !ok || !bucketForm().MatchString(bucket) {
		return "", "", fmt.Errorf("%q is no place in S3; write s3://BUCKET or s3://BUCKET/PREFIX", place)
	}
	if prefix = strings.Trim(path.Clean("/"+prefix), "/"); prefix != "" {
		prefix += "/"
	}
	return bucket, prefix, nil
}

func (s *S3) String() string { return "s3://" + s.bucket + "/" + s.prefix }

// s3Parallel bounds the requests in flight.
const s3Parallel = 16

// Append writes each entry that is not there, and then the log. A failure leaves others written; appending the same again
// finishes it.
func (s *S3) Append(ctx context.Context, _ string, entries []Entry) error {
	for _, e := range entries {
		if _, err := parsePath(e.Path); err != nil {
			return fmt.Errorf("adding %s to the ledger: %w", e.Path, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	put := make([]logged, len(entries))
	made := make([]bool, len(entries))
	err := s.each(len(entries), func(i int) (err error) {
		put[i], made[i], err = s.put(ctx, entries[i])
		return err
	})
	if err != nil {
		return err
	}
	if !slices.Contains(made, true) { // an earlier run wrote them, and may have got no further
		if put, err = s.unlogged(ctx, put); err != nil {
			return err
		}
	}
	adopted, err := s.adopt(ctx)
	if err != nil {
		return err
	}
	return s.note(ctx, append(put, adopted...))
}

// each does something n times, several at once, and gives all errors.
func (s *S3) each(n int, do func(int) error) error {
	var group errgroup.Group
	group.SetLimit(s3Parallel)
	errs := make([]error, n)
	for i := range n {
		group.Go(func() error {
			errs[i] = do(i)
			return nil
		})
	}
	_ = group.Wait() // every error is in errs
	return errors.Join(errs...)
}

func (s *S3) put(ctx context.Context, e Entry) (l logged, made bool, err error) {
	l = logged{Path: e.Path, Sum: wholeSum(e.Data)}
	if l.ETag, err = s.create(ctx, e.Path, e.Data); err == nil {
		return l, true, nil
	}
	if !taken(err) {
		return l, false, err
	}
	data, tag, err := s.get(ctx, e.Path)
	if err == nil && !bytes.Equal(data, e.Data) {
		err = &ConflictError{e.Path}
	}
	l.ETag = tag
	return l, false, err
}

// create writes an object unless there is one, and gives its ETag.
func (s *S3) create(ctx context.Context, path string, data []byte) (string, error) {
	out, err := s.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.prefix + path), Body: bytes.NewReader(data), ContentType: aws.String("application/json"),
		IfNoneMatch: aws.String("*"),
	})
	switch code(err) {
	case "AccessDenied":
		return "", &RefusedError{Where: s.String(), Err: err, Fix: "let whoever runs imgops do s3:PutObject there; imgops iam-policy build says how"}
	case "NoSuchBucket":
		return "", &RefusedError{Where: s.String(), Err: err, Fix: "make the bucket, or correct `ledger:` in imgops.yaml"}
	}
	if err != nil {
		return "", s.explain("writing "+path, err)
	}
	return aws.ToString(out.ETag), nil
}

// taken says that create found an object, or somebody who is writing it.
func taken(err error) bool {
	c := code(err)
	return c == "PreconditionFailed" || c == "ConditionalRequestConflict"
}

// List gives the entries below the prefix; S3 lists them in order. The log is none of them.
func (s *S3) List(ctx context.Context, prefix string) ([]Item, error) {
	found, err := s.list(ctx, prefix)
	var list []Item
	for _, o := range found {
		list = append(list, o.Item)
	}
	return list, err
}

// listed is an object in a listing.
type listed struct {
	Item
	tag string // its ETag
}

func (s *S3) list(ctx context.Context, prefix string) ([]listed, error) {
	var list []listed
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix)}
	for p := s3.NewListObjectsV2Paginator(s.api, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, s.explain("listing", err)
		}
		for _, o := range page.Contents {
			key := strings.TrimPrefix(aws.ToString(o.Key), s.prefix)
			if pageOf(key) == 0 && !strings.HasSuffix(key, "/") { // the console makes "directories"
				list = append(list, listed{Item{key, aws.ToInt64(o.Size)}, aws.ToString(o.ETag)})
			}
		}
	}
	return list, nil
}

// Read gives an object.
func (s *S3) Read(ctx context.Context, path string) ([]byte, error) {
	data, _, err := s.get(ctx, path)
	return data, err
}

// get gives an object and its ETag.
func (s *S3) get(ctx context.Context, path string) ([]byte, string, error) {
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.prefix + path)})
	var gone *types.NoSuchKey
	if errors.As(err, &gone) {
		return nil, "", fmt.Errorf("%s: %w", path, ErrNoEntry)
	}
	if err != nil {
		return nil, "", s.explain("reading "+path, err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(io.LimitReader(out.Body, MaxSize+1))
	if err != nil {
		return nil, "", s.explain("reading "+path, err)
	}
	if len(data) > MaxSize {
		return nil, "", Problem{path, tooLarge(aws.ToInt64(out.ContentLength))}
	}
	return data, aws.ToString(out.ETag), nil
}

func (s *S3) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s in the ledger at %s: %w", what, s, err)
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
