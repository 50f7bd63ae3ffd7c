package sandbox

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"
)

// bucketNames are S3's rules less the reserved prefixes (S3 user guide, "General purpose bucket naming rules").
var bucketNames = lazy(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// bucketOf finds the request's bucket, which has to be the caller's and in the request's Region.
func (q *call) bucketOf(in *s3Request) (bucketRow, error) {
	b, ok := q.buckets.Get(q.tx, in.bucket)
	switch {
	case !ok:
		return b, s3Error("NoSuchBucket", http.StatusNotFound, "The specified bucket does not exist")
	case b.Account != q.Account:
		return b, s3Error("AccessDenied", http.StatusForbidden, "Access Denied")
	case b.Region != q.Region:
		return b, s3Error("PermanentRedirect", http.StatusMovedPermanently,
			"The bucket you are attempting to access must be addressed using the specified endpoint: it is in %s", b.Region)
	}
	return b, nil
}

func createBucket(q *call, in *s3Request) (*s3Answer, error) {
	if !bucketNames().MatchString(in.bucket) || strings.Contains(in.bucket, "..") {
		return nil, s3Error("InvalidBucketName", http.StatusBadRequest, "The specified bucket is not valid.")
	}
	var conf struct {
		LocationConstraint string
	}
	if len(in.body) > 0 && xml.Unmarshal(in.body, &conf) != nil {
		return nil, s3Error("MalformedXML", http.StatusBadRequest, "The XML you provided was not well-formed or did not validate against our published schema")
	}
	switch home := "us-east-1"; {
	case q.Region == home && conf.LocationConstraint != "":
		return nil, s3Error("InvalidLocationConstraint", http.StatusBadRequest, "The specified location-constraint is not valid")
	case q.Region != home && conf.LocationConstraint != q.Region:
		return nil, s3Error("IllegalLocationConstraintException", http.StatusBadRequest,
			"The %s location constraint is incompatible for the region specific endpoint this request was sent to.", orUnspecified(conf.LocationConstraint))
	}
	if b, ok := q.buckets.Get(q.tx, in.bucket); ok {
		switch {
		case b.Account != q.Account:
			return nil, s3Error("BucketAlreadyExists", http.StatusConflict, "The requested bucket name is not available.")
		case b.Region != "us-east-1" || q.Region != b.Region: // us-east-1 has always said yes to the owner
			return nil, s3Error("BucketAlreadyOwnedByYou", http.StatusConflict, "Your previous request to create the named bucket succeeded and you already own it.")
		}
	} else {
		q.buckets.Put(q.tx, in.bucket, bucketRow{q.place, in.bucket, q.now})
	}
	return &s3Answer{status: http.StatusOK, header: map[string]string{"Location": "/" + in.bucket}}, nil
}

func orUnspecified(s string) string {
	if s == "" {
		return "unspecified"
	}
	return s
}

func headBucket(q *call, in *s3Request) (*s3Answer, error) {
	b, err := q.bucketOf(in)
	return &s3Answer{status: http.StatusOK, header: map[string]string{"X-Amz-Bucket-Region": b.Region}}, err
}

func deleteBucket(q *call, in *s3Request) (*s3Answer, error) {
	if _, err := q.bucketOf(in); err != nil {
		return nil, err
	}
	for range q.objects.Scan(q.tx, in.bucket) {
		return nil, s3Error("BucketNotEmpty", http.StatusConflict, "The bucket you tried to delete is not empty")
	}
	q.buckets.Delete(q.tx, in.bucket)
	return &s3Answer{status: http.StatusNoContent}, nil
}

func bucketLocation(q *call, in *s3Request) (*s3Answer, error) {
	b, err := q.bucketOf(in)
	if err != nil {
		return nil, err
	}
	where := b.Region
	if where == "us-east-1" { // S3 calls it by no name
		where = ""
	}
	return &s3Answer{status: http.StatusOK, xml: struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: where}}, nil
}

type listedBucket struct{ Name, CreationDate string }

func listBuckets(q *call, _ *s3Request) (*s3Answer, error) {
	list := []listedBucket{}
	for _, b := range q.buckets.All(q.tx) {
		if b.Account == q.Account {
			list = append(list, listedBucket{b.Name, s3Time(b.Created)})
		}
	}
	slices.SortFunc(list, func(a, b listedBucket) int { return strings.Compare(a.Name, b.Name) })
	type owner struct{ ID string }
	return &s3Answer{status: http.StatusOK, xml: struct {
		XMLName xml.Name       `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Owner   owner          `xml:"Owner"`
		Buckets []listedBucket `xml:"Buckets>Bucket"`
	}{Owner: owner{stableID("", q.Account)}, Buckets: list}}, nil
}

func s3Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
