package sandbox_test

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox"
)

func (w *world) s3(account, region string) *s3.Client {
	return s3.NewFromConfig(w.account(account, region), func(o *s3.Options) { o.UsePathStyle = true })
}

func (w *world) putObject(api *s3.Client, key, content string, change func(*s3.PutObjectInput)) error {
	in := &s3.PutObjectInput{Bucket: aws.String("records"), Key: &key, Body: strings.NewReader(content)}
	if change != nil {
		change(in)
	}
	_, err := api.PutObject(w.ctx, in)
	return err
}

func (w *world) content(api *s3.Client, key string, change func(*s3.GetObjectInput)) string {
	w.t.Helper()
	in := &s3.GetObjectInput{Bucket: aws.String("records"), Key: &key}
	if change != nil {
		change(in)
	}
	out, err := api.GetObject(w.ctx, in)
	require.NoError(w.t, err)
	data, err := io.ReadAll(out.Body)
	require.NoError(w.t, err)
	return string(data)
}

func TestS3Objects(t *testing.T) {
	dir := t.TempDir()
	w := openWorld(t, sandbox.Options{Dir: dir})
	api := w.s3(build, home)
	require.Equal(t, "NoSuchBucket", code(w.putObject(api, "a", "x", nil)))
	for range 2 { // us-east-1 says yes again
		_, err := api.CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("records")})
		require.NoError(t, err)
	}
	once := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	odd := "dir/with space & ümlaut+%.json"
	require.NoError(t, w.putObject(api, odd, "one", once))
	require.Equal(t, "PreconditionFailed", code(w.putObject(api, odd, "two", once)))
	require.Equal(t, "one", w.content(api, odd, nil))
	require.Equal(t, "ne", w.content(api, odd, func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=1-") }))
	require.NoError(t, w.putObject(api, odd, "three", func(in *s3.PutObjectInput) { in.ContentType = aws.String("text/plain") }))
	require.Equal(t, "three", w.content(api, odd, nil))
	head, err := api.HeadObject(w.ctx, &s3.HeadObjectInput{Bucket: aws.String("records"), Key: &odd})
	require.NoError(t, err)
	require.Equal(t, int64(5), *head.ContentLength)
	require.Equal(t, "text/plain", *head.ContentType)
	files, err := filepath.Glob(filepath.Join(dir, "s3", "*"))
	require.NoError(t, err)
	require.Len(t, files, 1, "the content that was replaced is gone")

	_, err = api.GetObject(w.ctx, &s3.GetObjectInput{Bucket: aws.String("records"), Key: aws.String("none")})
	require.Equal(t, "NoSuchKey", code(err))
	_, err = api.CopyObject(w.ctx, &s3.CopyObjectInput{Bucket: aws.String("records"), Key: aws.String("copy"), CopySource: aws.String("records/a")})
	require.Equal(t, "NotImplemented", code(err))
	_, err = api.GetBucketAcl(w.ctx, &s3.GetBucketAclInput{Bucket: aws.String("records")})
	require.Equal(t, "NotImplemented", code(err))
	require.Equal(t, "BadDigest", code(w.putObject(api, "bad", "x", func(in *s3.PutObjectInput) { in.ChecksumCRC32 = aws.String("AAAAAA==") })))

	_, err = api.DeleteBucket(w.ctx, &s3.DeleteBucketInput{Bucket: aws.String("records")})
	require.Equal(t, "BucketNotEmpty", code(err))
	_, err = api.DeleteObject(w.ctx, &s3.DeleteObjectInput{Bucket: aws.String("records"), Key: &odd})
	require.NoError(t, err)
	_, err = api.DeleteBucket(w.ctx, &s3.DeleteBucketInput{Bucket: aws.String("records")})
	require.NoError(t, err)
}

func TestS3Access(t *testing.T) {
	w := newWorld(t)
	api := w.s3(build, home)
	_, err := api.CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("records")})
	require.NoError(t, err)
	_, err = w.s3(stranger, home).CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("records")})
	require.Equal(t, "BucketAlreadyExists", code(err))
	require.Equal(t, "AccessDenied", code(w.putObject(w.s3(stranger, home), "a", "x", nil)))
	require.Equal(t, 301, status(w.putObject(w.s3(build, away), "a", "x", nil)))
	bad := s3.NewFromConfig(w.config("SANDBOX"+build, "wrong", "", home), func(o *s3.Options) { o.UsePathStyle = true })
	require.Equal(t, "SignatureDoesNotMatch", code(w.putObject(bad, "a", "x", nil)))
	bad = s3.NewFromConfig(w.config("AKIANOBODY", "wrong", "", home), func(o *s3.Options) { o.UsePathStyle = true })
	require.Equal(t, "InvalidAccessKeyId", code(w.putObject(bad, "a", "x", nil)))

	_, err = w.s3(build, away).CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("abroad")})
	require.Equal(t, "IllegalLocationConstraintException", code(err))
	_, err = w.s3(build, away).CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("abroad"),
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: away}})
	require.NoError(t, err)
	_, err = api.CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("Not_A_Bucket")})
	require.Error(t, err)
	list, err := api.ListBuckets(w.ctx, nil)
	require.NoError(t, err)
	require.Len(t, list.Buckets, 2)
	list, err = w.s3(stranger, home).ListBuckets(w.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, list.Buckets)
}

func TestS3Listing(t *testing.T) {
	w := newWorld(t)
	api := w.s3(build, home)
	_, err := api.CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: aws.String("records")})
	require.NoError(t, err)
	var want []string
	for _, dir := range []string{"a", "b", "b c"} {
		for n := range 5 {
			key := fmt.Sprintf("%s/%d", dir, n)
			want = append(want, key)
			require.NoError(t, w.putObject(api, key, "x", nil))
		}
	}
	require.NoError(t, w.putObject(api, "top", "x", nil))
	all := func(in *s3.ListObjectsV2Input) (keys, prefixes []string) {
		in.Bucket = aws.String("records")
		for p := s3.NewListObjectsV2Paginator(api, in); p.HasMorePages(); {
			page, err := p.NextPage(w.ctx)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Contents)+len(page.CommonPrefixes), 1000)
			for _, o := range page.Contents {
				keys = append(keys, *o.Key)
			}
			for _, o := range page.CommonPrefixes {
				prefixes = append(prefixes, *o.Prefix)
			}
		}
		return keys, prefixes
	}
	for _, page := range []int32{1, 2, 3, 1000} {
		keys, _ := all(&s3.ListObjectsV2Input{MaxKeys: &page, Prefix: aws.String("b")})
		require.ElementsMatch(t, want[5:], keys, "pages of %d", page)
		keys, prefixes := all(&s3.ListObjectsV2Input{MaxKeys: &page, Delimiter: aws.String("/")})
		require.Equal(t, []string{"top"}, keys)
		require.ElementsMatch(t, []string{"a/", "b/", "b c/"}, prefixes)
	}
	keys, _ := all(&s3.ListObjectsV2Input{StartAfter: aws.String("b/3"), EncodingType: types.EncodingTypeUrl})
	require.Equal(t, []string{"b/4", "top"}, keys)
}

// TestS3WithAWSCLI has the AWS CLI keep files in the sandbox's S3.
func TestS3WithAWSCLI(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the AWS CLI is not installed")
	}
	w := newWorld(t)
	script := `set -e
aws s3 mb s3://records
printf 'hello' | aws s3 cp - s3://records/dir/hello.txt
aws s3 ls s3://records/
aws s3 cp s3://records/dir/hello.txt -
aws s3api put-object --bucket records --key dir/hello.txt --if-none-match '*' && exit 1
aws s3 rm s3://records/dir/hello.txt
aws s3 rb s3://records
`
	out := w.program(t, "sh", "-c", script)
	require.Contains(t, out, "PRE dir/")
	require.Contains(t, out, "hello")
	require.True(t, bytes.Contains([]byte(out), []byte("remove_bucket: records")))
}
