package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/ledger"
)

// bucket is the bucket of a ledger s3://acme-ledger/fleet, in the hands of somebody who is not imgops.
type bucket struct {
	t   *testing.T
	api *s3.Client
}

func (w *apiWorld) bucket() *bucket {
	w.t.Helper()
	api := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(w.box.URL), UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("SANDBOX111111111111", "sandbox", ""),
	})
	_, err := api.CreateBucket(w.t.Context(), &s3.CreateBucketInput{Bucket: aws.String("acme-ledger")})
	require.NoError(w.t, err)
	return &bucket{w.t, api}
}

// keys lists what is below the ledger's prefix.
func (b *bucket) keys(prefix string) []string {
	b.t.Helper()
	out, err := b.api.ListObjectsV2(b.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("acme-ledger"), Prefix: aws.String("fleet/" + prefix)})
	require.NoError(b.t, err)
	list := []string{}
	for _, o := range out.Contents {
		list = append(list, *o.Key)
	}
	return list
}

func (b *bucket) read(key string) []byte {
	b.t.Helper()
	out, err := b.api.GetObject(b.t.Context(), &s3.GetObjectInput{Bucket: aws.String("acme-ledger"), Key: &key})
	require.NoError(b.t, err)
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	require.NoError(b.t, err)
	return data
}

func (b *bucket) write(key string, data []byte) {
	b.t.Helper()
	_, err := b.api.PutObject(b.t.Context(), &s3.PutObjectInput{Bucket: aws.String("acme-ledger"), Key: &key, Body: bytes.NewReader(data)})
	require.NoError(b.t, err)
}

func (b *bucket) remove(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		_, err := b.api.DeleteObject(b.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("acme-ledger"), Key: &key})
		require.NoError(b.t, err)
	}
}

// built keeps the record of a build in a clone, as a run does that could not store it.
func (w *apiWorld) built(image string) ledger.Entry {
	w.t.Helper()
	e, err := ledger.Image{
		About: ledger.About{Fleet: "acme", Role: "web", Digest: "sha256:" + strings.Repeat("a", 64), Image: image, Account: "111111111111", Region: "us-east-1"},
		Name:  "acme-web", Commit: w.git("rev-parse", "HEAD"), Base: "ami-0123456789abcdef0", BuiltAt: time.Now(),
	}.Entry()
	require.NoError(w.t, err)
	require.NoError(w.t, ledger.Spool{Dir: filepath.Join(w.fleet, ".git", "imgops", "pending")}.Put(e))
	return e
}

const (
	bucketLedger   = "ledger: s3://acme-ledger/fleet"
	bucketRequired = "ledger: {store: s3://acme-ledger/fleet, required: true}"
)

// TestLedgerInS3 keeps the ledger in a bucket of the build account, which is not there at first.
func TestLedgerInS3(t *testing.T) {
	w := newAPIWorld(t)
	bare := w.shared(bucketRequired)
	one := w.merged("one")
	_, errs := w.do(exitError, "ci", "--event", "push")
	require.Contains(t, errs, "nothing is promoted: imgops.yaml requires the ledger")
	b := w.bucket()
	w.do(exitDone, "ci", "--event", "push")
	w.requireDefaults(one, "current")
	require.Empty(t, w.recorded(bare))
	require.Len(t, b.keys("events/web/"), 1)
	require.Equal(t, []string{"fleet/log/0000000001.json", "fleet/log/0000000002.json"}, b.keys("log/"), "of the image before the promotion, and of that")
	require.True(t, strings.HasPrefix(w.witnessed("s3://acme-ledger/fleet/"), "2:"))
	out, errs := w.do(exitDone, "history", "web", "-o", "json")
	require.Contains(t, out, `"by"`)
	require.NotContains(t, errs, "warning")

	t.Log("a run that does nothing asks neither the bucket nor the witness")
	before := w.box.Calls()
	w.do(exitDone, "ci", "--event", "push")
	require.Equal(t, before["GetParameter"], w.box.Calls()["GetParameter"])
	require.Len(t, b.keys(""), 1+2+2)
}

// TestLedgerInS3Rewritten: somebody deletes or replaces objects of the ledger. A clone that knows nothing of it notices, and
// promotes nothing; the two ways out that the error names lead out.
func TestLedgerInS3Rewritten(t *testing.T) {
	build := "fleet/images/web/" + strings.Repeat("a", 64) + "/ami-0aaaaaaaaaaaaaaaa/image.json"
	const page = "fleet/log/0000000003.json"
	for name, c := range map[string]struct {
		setting string
		meant   bool            // and not: to be had back
		spoil   func(b *bucket) // what it spoils is written back
		says    string
	}{
		"the last event":            {setting: bucketLedger, spoil: func(b *bucket) { b.remove(b.keys("events/")[1]) }, says: "-promote-"},
		"the first event, required": {setting: bucketRequired, spoil: func(b *bucket) { b.remove(b.keys("events/")[0]) }, says: "-promote-", meant: true},
		"a build record after the last event": {
			setting: bucketLedger, spoil: func(b *bucket) { b.remove(build) }, says: "image.json: not there as its log (log/0000000003.json) has it",
		},
		"a build record and the log's page of it": {
			setting: bucketLedger, spoil: func(b *bucket) { b.remove(build, page) }, says: "log/0000000003.json of its log is gone", meant: true,
		},
		"all":           {setting: bucketLedger, spoil: func(b *bucket) { b.remove(b.keys("")...) }, says: "log/0000000003.json of its log is gone"},
		"all, required": {setting: bucketRequired, spoil: func(b *bucket) { b.remove(b.keys("")...) }, says: "log/0000000005.json of its log is gone", meant: true},
		"a build record is another": {setting: bucketLedger, says: "image.json: not there as its log", spoil: func(b *bucket) {
			b.write(build, bytes.ReplaceAll(b.read(build), []byte("ami-0123"), []byte("ami-3210")))
		}},
		"the log's page is another and lacks the record": {setting: bucketLedger, says: "log/0000000003.json of its log is not what imgops wrote", spoil: func(b *bucket) {
			b.remove(build)
			b.write(page, bytes.Replace(b.read("fleet/log/0000000002.json"), []byte(`"number":2`), []byte(`"number":3`), 1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAPIWorld(t)
			bare := w.shared(c.setting)
			b := w.bucket()
			w.merged("one")
			w.do(exitDone, "ci", "--event", "push")
			two := w.merged("two")
			w.do(exitDone, "ci", "--event", "push")
			w.built("ami-0aaaaaaaaaaaaaaaa")
			w.do(exitDone, "ci", "--event", "push")                                         // stores it
			pages := map[string]string{bucketLedger: "3:", bucketRequired: "5:"}[c.setting] // a page before and one after each promotion
			require.True(t, strings.HasPrefix(w.witnessed("s3://acme-ledger/fleet/"), pages))
			saved := map[string][]byte{}
			for _, key := range b.keys("") {
				saved[key] = b.read(key)
			}
			c.spoil(b)
			three := w.merged("three")
			fresh := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "fresh"), box: w.box}
			w.git("clone", "-q", "--depth=1", "file://"+bare, fresh.fleet)
			refused := func(says string) (errs string) {
				_, errs = fresh.do(exitError, "ci", "--event", "push")
				require.Contains(t, errs, "nothing is promoted: ")
				require.Contains(t, errs, "s3://acme-ledger/fleet/ was rewritten: ")
				require.Contains(t, errs, says)
				w.requireDefaults(two, "behind")
				return errs
			}
			errs := refused(c.says)

			t.Log("a run that records something all the same does not cover it up")
			code, _, held := fresh.try("hold", "web", "--reason", "freeze")
			require.Equal(t, strings.Contains(c.setting, "required") && strings.Contains(held, "was rewritten"), code != exitDone, held)
			fresh.try("release", "web")
			refused("")

			back := &apiWorld{t: t, fleet: filepath.Join(t.TempDir(), "back"), box: w.box}
			w.git("clone", "-q", "file://"+bare, back.fleet)
			if !c.meant {
				for key, data := range saved {
					b.write(key, data)
				}
			} else {
				_, on, ok := strings.Cut(errs, "if it was meant, begin the log anew: ")
				require.True(t, ok, errs)
				require.Equal(t, "aws s3 rm --recursive s3://acme-ledger/fleet/log/ && aws ssm delete-parameter --region us-east-1 --name "+images.WitnessName("acme"), strings.TrimSpace(on))
				b.remove(b.keys("log/")...)
				w.forgetWitness()
			}
			back.do(exitDone, "ci", "--event", "push")
			w.requireDefaults(three, "current")
		})
	}
}
