package sandbox

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxKeys is the size of a page.
const maxKeys = 1000

type listedObject struct {
	Key, LastModified, ETag string
	Size                    int64
	StorageClass            string
}

type listedPrefix struct{ Prefix string }

type listing struct {
	XMLName               xml.Name       `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name, Prefix          string         `xml:",omitempty"`
	Delimiter             string         `xml:",omitempty"`
	StartAfter            string         `xml:",omitempty"`
	ContinuationToken     string         `xml:",omitempty"`
	NextContinuationToken string         `xml:",omitempty"`
	EncodingType          string         `xml:",omitempty"`
	MaxKeys, KeyCount     int            `xml:""`
	IsTruncated           bool           `xml:""`
	Contents              []listedObject `xml:"Contents"`
	CommonPrefixes        []listedPrefix `xml:"CommonPrefixes"`
}

// listObjects lists keys in order; those with the delimiter after the prefix are one common prefix.
func listObjects(q *call, in *s3Request) (*s3Answer, error) {
	if _, err := q.bucketOf(in); err != nil {
		return nil, err
	}
	p := in.URL.Query()
	out := listing{
		Name: in.bucket, Prefix: p.Get("prefix"), Delimiter: p.Get("delimiter"), StartAfter: p.Get("start-after"),
		ContinuationToken: p.Get("continuation-token"), EncodingType: p.Get("encoding-type"), MaxKeys: maxKeys,
	}
	if given := p.Get("max-keys"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 0 {
			return nil, s3Error("InvalidArgument", http.StatusBadRequest, "Provided max-keys not an integer or within integer range")
		}
		out.MaxKeys = min(n, maxKeys)
	}
	after := out.StartAfter
	if out.ContinuationToken != "" {
		last, err := base64.RawURLEncoding.DecodeString(out.ContinuationToken)
		if err != nil {
			return nil, s3Error("InvalidArgument", http.StatusBadRequest, "The continuation token provided is incorrect")
		}
		after = string(last)
	}
	q.fillListing(&out, after)
	out.encode()
	return &s3Answer{status: http.StatusOK, xml: out}, nil
}

func (q *call) fillListing(out *listing, after string) {
	last := after
	for _, o := range q.objects.Scan(q.tx, out.Name) {
		if !strings.HasPrefix(o.Key, out.Prefix) {
			continue
		}
		name, common := o.Key, false
		if out.Delimiter != "" {
			if at := strings.Index(o.Key[len(out.Prefix):], out.Delimiter); at >= 0 {
				name, common = o.Key[:len(out.Prefix)+at+len(out.Delimiter)], true
			}
		}
		if name <= last { // before the page, or in the prefix that is listed already
			continue
		}
		if out.KeyCount == out.MaxKeys {
			out.IsTruncated = out.MaxKeys > 0
			break
		}
		if common {
			out.CommonPrefixes = append(out.CommonPrefixes, listedPrefix{name})
		} else {
			out.Contents = append(out.Contents, listedObject{o.Key, s3Time(o.Modified), o.ETag, o.Size, "STANDARD"})
		}
		out.KeyCount++
		last = name
	}
	if out.IsTruncated {
		out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(last))
	}
}

// encode writes names as in URLs, when they are asked for so: XML cannot carry every character.
func (l *listing) encode() {
	if l.EncodingType != "url" {
		return
	}
	esc := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }
	l.Prefix, l.Delimiter, l.StartAfter = esc(l.Prefix), esc(l.Delimiter), esc(l.StartAfter)
	for i := range l.Contents {
		l.Contents[i].Key = esc(l.Contents[i].Key)
	}
	for i := range l.CommonPrefixes {
		l.CommonPrefixes[i].Prefix = esc(l.CommonPrefixes[i].Prefix)
	}
}
