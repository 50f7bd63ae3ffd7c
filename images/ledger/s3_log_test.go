package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/ledger"
	"github.com/imgops/imgops/images/sandbox/sandboxtest"
)

const s3Place = "s3://acme-ledger/fleet"

// watched is a bucket that counts what is read of the log, and can lose an answer.
type watched struct {
	*s3.Client
	mu    sync.Mutex
	reads []string // keys that were got
	fail  func(key string) error
}

func (w *watched) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	w.mu.Lock()
	w.reads = append(w.reads, *in.Key)
	w.mu.Unlock()
	return w.Client.GetObject(ctx, in, o...)
}

func (w *watched) PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	w.mu.Lock()
	fail := w.fail
	w.mu.Unlock()
	if fail != nil {
		if err := fail(*in.Key); err != nil {
			return nil, err
		}
	}
	return w.Client.PutObject(ctx, in, o...)
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	return &watched{Client: bucket(t, sandboxtest.New(t).URL, "SANDBOX111111111111", "sandbox")}
}

// store opens the ledger as another run does.
func (w *watched) store(t *testing.T) *ledger.S3 {
	t.Helper()
	s, err := ledger.NewS3(w, s3Place)
	require.NoError(t, err)
	return s
}

func (w *watched) remove(t *testing.T, path string) (content []byte) {
	t.Helper()
	content, err := w.store(t).Read(t.Context(), path)
	require.NoError(t, err)
	_, err = w.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("acme-ledger"), Key: aws.String("fleet/" + path)})
	require.NoError(t, err)
	return content
}

// write writes an object as somebody does who is not imgops.
func (w *watched) write(t *testing.T, path string, content []byte) {
	t.Helper()
	_, err := w.Client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("acme-ledger"), Key: aws.String("fleet/" + path), Body: bytes.NewReader(content)})
	require.NoError(t, err)
}

func (w *watched) requireRewritten(t *testing.T, err error, says string) *ledger.RewrittenError {
	t.Helper()
	var rewritten *ledger.RewrittenError
	require.ErrorAs(t, err, &rewritten)
	require.Contains(t, rewritten.What, says)
	require.Contains(t, rewritten.Error(), "s3://acme-ledger/fleet/ was rewritten: ")
	return rewritten
}

func hold(t *testing.T, n int) ledger.Entry {
	t.Helper()
	return event(t, "web", "hold", fmt.Sprint(n), noon.Add(time.Duration(n)*time.Second))
}

// TestS3Log: the log names every entry whoever wrote it, and who knows nothing of it yet reads few pages of it.
func TestS3Log(t *testing.T) {
	t.Parallel()
	const runs = 300
	w := newWatched(t)
	s := w.store(t)
	for n := 1; n <= runs; n++ {
		if n%7 == 0 {
			s = w.store(t) // another run
		}
		require.NoError(t, s.Append(t.Context(), "", []ledger.Entry{hold(t, n)}))
		if n == 6 {
			require.NoError(t, s.Append(t.Context(), "", []ledger.Entry{hold(t, n)}), "the same again, which adds nothing")
		}
	}
	require.Len(t, paths(t, s, ""), runs, "the log is no entry")
	require.True(t, strings.HasPrefix(s.Tip(), "300:"), s.Tip())
	fresh := w.store(t)
	w.reads = nil
	require.NoError(t, fresh.Sync(t.Context()))
	require.Equal(t, []string{"fleet/log/0000000300.json", "fleet/log/0000000296.json", "fleet/log/0000000288.json", "fleet/log/0000000256.json"}, w.reads)
	require.Equal(t, s.Tip(), fresh.Tip())
	require.NoError(t, fresh.Ready(t.Context()))

	t.Log("each entry is named, the first as well as the last")
	for _, n := range []int{1, 6, 255, 256, 257, 299, 300} {
		e := hold(t, n)
		content := w.remove(t, e.Path)
		rewritten := w.requireRewritten(t, w.store(t).Sync(t.Context()), e.Path+": not there as its log (log/0000000300.json) has it")
		require.Contains(t, rewritten.Fix, "aws s3 cp BACKUP s3://acme-ledger/fleet/"+e.Path+"; ")
		w.write(t, e.Path, content)
		require.NoError(t, w.store(t).Sync(t.Context()))
	}
}

// TestS3Rewritten has each kind of object deleted, and replaced by another.
func TestS3Rewritten(t *testing.T) {
	w := newWatched(t)
	img, inv := image(t, "web", "ami-1", noon), inventory(t, "web", "ami-1", nil)
	require.NoError(t, w.store(t).Append(t.Context(), "", []ledger.Entry{hold(t, 1), img}))
	require.NoError(t, w.store(t).Append(t.Context(), "", []ledger.Entry{hold(t, 2)}))
	s := w.store(t)
	require.NoError(t, s.Append(t.Context(), "", []ledger.Entry{inv, verification(t, "web", "ami-1", true, noon)}))
	tip := s.Tip()
	for _, path := range append(paths(t, s, ""), "log/0000000002.json", "log/0000000003.json") { // page 2 repeats page 1
		t.Run(path, func(t *testing.T) {
			notices := func() {
				fresh := w.store(t)
				err := errors.Join(fresh.Sync(t.Context()), fresh.Lacks(t.Context(), tip, "aws ssm delete-parameter X"))
				w.requireRewritten(t, err, path)
				require.Error(t, errors.Join(w.store(t).Ready(t.Context()), w.store(t).Lacks(t.Context(), tip, "")))
			}
			content := w.remove(t, path)
			notices()
			w.write(t, path, bytes.Replace(content, []byte("web"), []byte("wab"), 1))
			notices()
			w.write(t, path, append(content, '\n'))
			notices()
			w.write(t, path, content)
			fresh := w.store(t)
			require.NoError(t, fresh.Sync(t.Context()))
			require.NoError(t, fresh.Lacks(t.Context(), tip, ""))
		})
	}

	t.Log("all of it is gone: only who knows the tip can tell, and says how to go on")
	for _, path := range append(paths(t, s, ""), "log/0000000001.json", "log/0000000002.json", "log/0000000003.json") {
		w.remove(t, path)
	}
	fresh := w.store(t)
	require.NoError(t, fresh.Sync(t.Context()))
	rewritten := w.requireRewritten(t, fresh.Lacks(t.Context(), tip, "aws ssm delete-parameter X"), "log/0000000003.json of its log is gone")
	require.True(t, strings.HasSuffix(rewritten.Fix, "if it was meant, begin the log anew: aws s3 rm --recursive s3://acme-ledger/fleet/log/ && aws ssm delete-parameter X"), rewritten.Fix)
	w.requireRewritten(t, s.Append(t.Context(), "", []ledger.Entry{hold(t, 3)}), "log/0000000003.json of its log is gone")
	require.NoError(t, fresh.Append(t.Context(), "", []ledger.Entry{hold(t, 3)}))
	require.Error(t, fresh.Lacks(t.Context(), tip, ""), "what was added since does not hide it")
}

// TestS3Restored: an object that came back from a backup may have another ETag, and is what it was all the same.
func TestS3Restored(t *testing.T) {
	w := newWatched(t)
	require.NoError(t, w.store(t).Append(t.Context(), "", []ledger.Entry{hold(t, 1)}))
	s, err := ledger.NewS3(&otherTags{w}, s3Place)
	require.NoError(t, err)
	require.NoError(t, s.Sync(t.Context()))
	w.write(t, hold(t, 1).Path, []byte("{}"))
	require.Error(t, s.Sync(t.Context()))
}

// otherTags is a bucket that was copied, encrypted with another key.
type otherTags struct{ *watched }

func (o *otherTags) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, opts ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	out, err := o.Client.ListObjectsV2(ctx, in, opts...)
	if err == nil {
		for i := range out.Contents {
			out.Contents[i].ETag = aws.String(`"another"`)
		}
	}
	return out, err
}

// TestS3Interrupted: a run that ends between the entries and the log leaves nothing that stands in the way; whoever comes next
// has the log name them.
func TestS3Interrupted(t *testing.T) {
	for name, next := range map[string]func(t *testing.T, w *watched, entries []ledger.Entry){
		"the same run again": func(t *testing.T, w *watched, entries []ledger.Entry) {
			require.NoError(t, w.store(t).Append(t.Context(), "", entries))
		},
		"another, that looks first": func(t *testing.T, w *watched, _ []ledger.Entry) {
			s := w.store(t)
			require.NoError(t, s.Sync(t.Context()))
			require.NoError(t, s.Append(t.Context(), "", []ledger.Entry{hold(t, 9)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			require.NoError(t, w.store(t).Append(t.Context(), "", []ledger.Entry{hold(t, 1)}))
			killed := errors.New("killed")
			w.fail = func(key string) error {
				if strings.Contains(key, "/log/") {
					return killed
				}
				return nil
			}
			entries := []ledger.Entry{hold(t, 2), image(t, "web", "ami-1", noon)}
			require.ErrorIs(t, w.store(t).Append(t.Context(), "", entries), killed)
			w.fail = nil
			require.NoError(t, w.store(t).Sync(t.Context()), "more than the log names is no loss")
			w.write(t, "notes.txt", []byte("garbage is named by others, and not by the log"))
			next(t, w, entries)
			require.NoError(t, w.store(t).Sync(t.Context()))
			w.remove(t, "notes.txt")
			require.NoError(t, w.store(t).Sync(t.Context()))
			w.remove(t, entries[1].Path)
			w.requireRewritten(t, w.store(t).Sync(t.Context()), entries[1].Path)
		})
	}
}

// TestS3BeforeTheLog: entries from a time without a log, or whose log was given up, are taken into a new one.
func TestS3BeforeTheLog(t *testing.T) {
	w := newWatched(t)
	for n := range 3 {
		w.write(t, hold(t, n).Path, hold(t, n).Data)
	}
	w.write(t, "notes.txt", []byte("garbage"))
	s := w.store(t)
	require.NoError(t, s.Append(t.Context(), "", []ledger.Entry{hold(t, 3)}))
	require.True(t, strings.HasPrefix(s.Tip(), "1:"))
	w.remove(t, hold(t, 0).Path)
	w.requireRewritten(t, w.store(t).Sync(t.Context()), hold(t, 0).Path)
	w.remove(t, "log/0000000001.json")
	s = w.store(t)
	require.NoError(t, s.Sync(t.Context()))
	require.NoError(t, s.Append(t.Context(), "", []ledger.Entry{hold(t, 4)}))
	require.NoError(t, w.store(t).Sync(t.Context()))
}

// TestS3NewerLog: a log that a newer imgops wrote is no rewritten one.
func TestS3NewerLog(t *testing.T) {
	w := newWatched(t)
	w.write(t, "log/0000000001.json", []byte(`{"schema":2,"kind":"log"}`))
	err := w.store(t).Sync(t.Context())
	require.ErrorContains(t, err, "log/0000000001.json: it is of schema 2, and this imgops reads up to 1; update imgops")
	var rewritten *ledger.RewrittenError
	require.NotErrorAs(t, err, &rewritten)
	require.ErrorContains(t, w.store(t).Append(t.Context(), "", []ledger.Entry{hold(t, 1)}), "update imgops")
	require.Error(t, w.store(t).Lacks(t.Context(), "what is this", ""))
}

// TestS3MayNotWrite: Ready tells before anything is written.
func TestS3MayNotWrite(t *testing.T) {
	w := newWatched(t)
	require.NoError(t, w.store(t).Append(t.Context(), "", []ledger.Entry{hold(t, 1)}))
	w.fail = func(string) error { return denied{} }
	var refused *ledger.RefusedError
	require.ErrorAs(t, w.store(t).Ready(t.Context()), &refused)
	require.Contains(t, refused.Error(), "imgops iam-policy build")
	require.NoError(t, w.store(t).Sync(t.Context()))
}

type denied struct{ smithy.APIError }

func (denied) Error() string     { return "no" }
func (denied) ErrorCode() string { return "AccessDenied" }
