package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

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
// overwritten; a bucket policy that denies s3:DeleteObject, or an Object Lock, keeps others from removing them.
type S3 struct {
	api            S3API
	bucket, prefix string // the prefix is empty or ends in a slash
}

var _ Store = (*S3)(nil)

// NewS3 makes the store of a place s3://BUCKET or s3://BUCKET/PREFIX.
func NewS3(api S3API, place string) (*S3, error) {
	bucket, prefix, err := ParseS3(place)
	return &S3{api, bucket, prefix}, err
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

// Append writes each entry that is not there. A failure leaves others written; appending the same again finishes it.
func (s *S3) Append(ctx context.Context, _ string, entries []Entry) error {
	for _, e := range entries {
		if _, err := parsePath(e.Path); err != nil {
			return fmt.Errorf("adding %s to the ledger: %w", e.Path, err)
		}
	}
	var group errgroup.Group
	group.SetLimit(s3Parallel)
	errs := make([]error, len(entries))
	for i, e := range entries {
		group.Go(func() error {
			errs[i] = s.put(ctx, e)
			return nil
		})
	}
	_ = group.Wait() // every error is in errs
	return errors.Join(errs...)
}

func (s *S3) put(ctx context.Context, e Entry) error {
	_, err := s.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.prefix + e.Path), Body: bytes.NewReader(e.Data), ContentType: aws.String("application/json"),
		IfNoneMatch: aws.String("*"),
	})
	switch code(err) {
	case "":
		return s.explain("writing "+e.Path, err)
	case "PreconditionFailed", "ConditionalRequestConflict": // it is there, or somebody is writing it
		return s.same(ctx, e)
	case "AccessDenied":
		return &RefusedError{Where: s.String(), Err: err, Fix: "let whoever runs imgops do s3:PutObject there"}
	case "NoSuchBucket":
		return &RefusedError{Where: s.String(), Err: err, Fix: "make the bucket, or correct `ledger:` in imgops.yaml"}
	}
	return s.explain("writing "+e.Path, err)
}

// same checks that what is there is what was to be written.
func (s *S3) same(ctx context.Context, e Entry) error {
	data, err := s.Read(ctx, e.Path)
	if err == nil && !bytes.Equal(data, e.Data) {
		return &ConflictError{e.Path}
	}
	return err
}

// Sync has nothing to do: every read asks S3.
func (s *S3) Sync(context.Context) error { return nil }

// Ready asks for one key. Whether writing is allowed, S3 says only when something is written.
func (s *S3) Ready(ctx context.Context) error {
	_, err := s.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1)})
	return s.explain("listing", err)
}

// List gives the keys below the prefix; S3 lists them in order.
func (s *S3) List(ctx context.Context, prefix string) ([]Item, error) {
	var list []Item
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix)}
	for p := s3.NewListObjectsV2Paginator(s.api, in); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, s.explain("listing", err)
		}
		for _, o := range page.Contents {
			if key := strings.TrimPrefix(aws.ToString(o.Key), s.prefix); !strings.HasSuffix(key, "/") { // the console makes "directories"
				list = append(list, Item{key, aws.ToInt64(o.Size)})
			}
		}
	}
	return list, nil
}

// Read gives an object.
func (s *S3) Read(ctx context.Context, path string) ([]byte, error) {
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.prefix + path)})
	var gone *types.NoSuchKey
	if errors.As(err, &gone) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoEntry)
	}
	if err != nil {
		return nil, s.explain("reading "+path, err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(io.LimitReader(out.Body, MaxSize+1))
	if err != nil {
		return nil, s.explain("reading "+path, err)
	}
	if len(data) > MaxSize {
		return nil, Problem{path, tooLarge(aws.ToInt64(out.ContentLength))}
	}
	return data, nil
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
