package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/imgops/imgops/images/sandbox/query"
	"github.com/imgops/imgops/images/sandbox/state"
)

// The sandbox's S3 is what keeping records in a bucket needs: buckets and objects in path style (http://HOST/BUCKET/KEY; at the hosts of
// AWS, which the proxy leads here, also https://BUCKET.s3.REGION.amazonaws.com/KEY), whole
// objects without versions, conditional writes and listings. Rows are in the state file, contents in files of their own.

// maxObject is what one PutObject takes, in bytes. There are no multipart uploads.
const maxObject = 64 << 20

// bucketRow is a bucket; key: its name, which is unique among all accounts.
type bucketRow struct {
	place
	Name    string
	Created time.Time
}

// objectRow is an object; key: bucket/key.
type objectRow struct {
	Bucket, Key string
	File        string // in the directory s3
	Size        int64
	ETag, Type  string // ETag in quotes
	CRC32       string
	Modified    time.Time
}

// s3Request is a request that was let in.
type s3Request struct {
	*http.Request
	bucket, key string
	body        []byte
}

// s3Answer is what goes back: XML, or the content of an object.
type s3Answer struct {
	status int
	header map[string]string
	xml    any
	object *objectRow
}

// s3Call is one of S3's actions.
type s3Call struct {
	name   string
	writes bool
	do     func(*call, *s3Request) (*s3Answer, error)
}

// serveS3 answers S3.
func (c *Cloud) serveS3(w http.ResponseWriter, r *http.Request, s scope) {
	requestID := newUUID()
	w.Header().Set("X-Amz-Request-Id", requestID)
	answer, name, err := c.runS3(w, r, s, requestID)
	if errors.Is(err, errLost) {
		c.drop(w, name, requestID)
		return
	}
	if err != nil {
		e := query.AsError(err)
		c.logFailure("s3:"+name, requestID, e)
		writeS3Error(w, r, e, requestID)
		return
	}
	c.writeS3(w, r, answer)
}

func (c *Cloud) runS3(w http.ResponseWriter, r *http.Request, s scope, requestID string) (*s3Answer, string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxObject+1<<20))
	if err != nil {
		return nil, "", s3Error("EntityTooLarge", http.StatusBadRequest, "Your proposed upload exceeds the maximum allowed size")
	}
	who, fault := identity{}, faultMissing
	if s.Signature != "" {
		who, fault = c.authenticate(r, s, body)
	}
	if fault != faultNone {
		return nil, "", s3AuthError(fault, s.Region)
	}
	if err := c.ensureLocation(place{who.Account, s.Region}); err != nil {
		return nil, "", err
	}
	if s.Presigned {
		r = r.Clone(r.Context())
		r.URL.RawQuery = withoutSigning(r.URL.Query()).Encode()
	}
	in := &s3Request{Request: r, body: body}
	in.bucket, in.key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if host, _ := endpointOf(r.Host); host.Bucket != "" {
		in.bucket, in.key = host.Bucket, strings.TrimPrefix(r.URL.Path, "/")
	}
	action := in.action()
	if action == nil {
		return nil, "", s3Error("NotImplemented", http.StatusNotImplemented, "A header or parameter you provided implies functionality that is not in this sandbox: %s %s", r.Method, r.URL)
	}
	answer, err := c.perform(c.newCall(r, who, s, action.name, requestID), in.run(action), nil)
	if err != nil {
		return nil, action.name, err
	}
	return answer.(*s3Answer), action.name, nil //nolint:forcetypeassert // run gives nothing else
}

// run makes an action of the table's kind.
func (in *s3Request) run(a *s3Call) action {
	return action{func(q *call, _ func(any) error) (any, error) {
		transaction := q.store.View
		if a.writes {
			transaction = q.store.Update
		}
		var out *s3Answer
		err := transaction(func(tx *state.Tx) (err error) {
			q.tx = tx
			out, err = a.do(q, in)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, fn := range q.later {
			fn()
		}
		return out, nil
	}}
}

// action finds what is asked for; nil for what is not here.
func (in *s3Request) action() *s3Call {
	q := in.URL.Query()
	for name := range q {
		if !s3Parameters[name] {
			return nil
		}
	}
	for name := range s3Refused {
		if in.Header.Get(name) != "" {
			return nil
		}
	}
	kind := "object"
	switch {
	case in.bucket == "":
		kind = "service"
	case in.key == "":
		kind = "bucket"
	}
	what := in.Method + " " + kind
	if kind == "bucket" && in.Method == http.MethodGet {
		switch {
		case q.Get("list-type") == "2":
			what += " list"
		case q.Has("location"):
			what += " location"
		}
	}
	if a, ok := s3Actions[what]; ok {
		return &a
	}
	return nil
}

var s3Actions = map[string]s3Call{
	"GET service":         {"ListBuckets", false, listBuckets},
	"PUT bucket":          {"CreateBucket", true, createBucket},
	"HEAD bucket":         {"HeadBucket", false, headBucket},
	"DELETE bucket":       {"DeleteBucket", true, deleteBucket},
	"GET bucket list":     {"ListObjectsV2", false, listObjects},
	"GET bucket location": {"GetBucketLocation", false, bucketLocation},
	"PUT object":          {"PutObject", true, putObject},
	"GET object":          {"GetObject", false, getObject},
	"HEAD object":         {"HeadObject", false, getObject},
	"DELETE object":       {"DeleteObject", true, deleteObject},
}

// s3Parameters are those of the query string that mean something, or nothing, here; s3Refused are headers that mean more.
var (
	s3Parameters = map[string]bool{"list-type": true, "prefix": true, "delimiter": true, "max-keys": true, "continuation-token": true, "start-after": true,
		"encoding-type": true, "fetch-owner": true, "location": true, "x-id": true, "max-buckets": true}
	s3Refused = map[string]bool{"X-Amz-Copy-Source": true, "If-Match": true, "X-Amz-Object-Lock-Mode": true, "X-Amz-Server-Side-Encryption-Customer-Key": true}
)

func s3Error(code string, status int, format string, args ...any) error {
	return query.Errorf(code, format, args...).WithStatus(status)
}

func s3AuthError(fault authFault, region string) error {
	switch fault {
	case faultMissing:
		return s3Error("AccessDenied", http.StatusForbidden, "Access Denied")
	case faultKey:
		return s3Error("InvalidAccessKeyId", http.StatusForbidden, "The AWS Access Key Id you provided does not exist in our records.")
	case faultToken:
		return s3Error("InvalidToken", http.StatusBadRequest, "The provided token is malformed or otherwise invalid.")
	case faultExpired:
		return s3Error("ExpiredToken", http.StatusBadRequest, "The provided token has expired.")
	case faultLapsed:
		return s3Error("AccessDenied", http.StatusForbidden, "Request has expired")
	case faultSkew:
		return s3Error("RequestTimeTooSkewed", http.StatusForbidden, "The difference between the request time and the current time is too large.")
	case faultService:
		return s3Error("AuthorizationHeaderMalformed", http.StatusBadRequest, "The authorization header is malformed; incorrect service. This endpoint belongs to \"s3\".")
	case faultRegion:
		return s3Error("AuthorizationHeaderMalformed", http.StatusBadRequest, "The authorization header is malformed; the region '%s' is wrong", region)
	}
	return s3Error("SignatureDoesNotMatch", http.StatusForbidden, "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
}

// payloadSum is what takes part in the signature: S3's senders may say that the payload is not signed, or signed in chunks.
func payloadSum(r *http.Request, s scope, actual string) string {
	if s.Presigned {
		return "UNSIGNED-PAYLOAD"
	}
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	if claimed == "UNSIGNED-PAYLOAD" || strings.HasPrefix(claimed, "STREAMING-") {
		return claimed
	}
	return actual
}

// content is the body without the framing of aws-chunked. Signatures of chunks are not verified.
func (in *s3Request) content() ([]byte, error) {
	if !strings.HasPrefix(in.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return in.body, nil
	}
	var out []byte
	for rest := in.body; ; {
		head, after, ok := bytes.Cut(rest, []byte("\r\n"))
		size, _, _ := bytes.Cut(head, []byte(";"))
		n, err := strconv.ParseInt(string(size), 16, 32)
		if !ok || err != nil || n < 0 || n > 0 && int(n)+2 > len(after) {
			return nil, s3Error("IncompleteBody", http.StatusBadRequest, "The request body's chunks are not whole")
		}
		if n == 0 {
			return out, nil
		}
		out, rest = append(out, after[:n]...), after[n+2:]
	}
}

// crc is the checksum that S3's senders give by default.
func crc(data []byte) string {
	sum := crc32.ChecksumIEEE(data)
	return base64.StdEncoding.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

func (c *Cloud) writeS3(w http.ResponseWriter, r *http.Request, a *s3Answer) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.object != nil {
		f, err := os.Open(c.objectPath(a.object.File))
		if err != nil {
			writeS3Error(w, r, query.AsError(s3Error("InternalError", http.StatusInternalServerError, "%v", err)), "")
			return
		}
		defer f.Close()
		http.ServeContent(w, r, "", a.object.Modified, f) // ranges and conditions as HTTP has them
		return
	}
	var out []byte
	if a.xml != nil {
		body, err := xml.Marshal(a.xml)
		if err != nil {
			c.log.Error("the sandbox could not encode an answer", "error", err)
		}
		out = append([]byte(xml.Header), body...)
		w.Header().Set("Content-Type", "application/xml")
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(out)
}

func writeS3Error(w http.ResponseWriter, r *http.Request, e *query.Error, requestID string) {
	out, _ := xml.Marshal(struct { // strings in a struct
		XMLName                            xml.Name `xml:"Error"`
		Code, Message, Resource, RequestId string
	}{Code: e.Code, Message: e.Message, Resource: r.URL.Path, RequestId: requestID})
	out = append([]byte(xml.Header), out...)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(e.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out)
	}
}

func (c *Cloud) objectPath(file string) string { return filepath.Join(c.dir, "s3", file) }
