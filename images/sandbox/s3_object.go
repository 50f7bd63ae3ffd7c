package sandbox

import (
	"crypto/md5" //nolint:gosec // what an ETag is
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/renameio/v2"
)

// maxKey is what a key may have, in bytes.
const maxKey = 1024

func objectKey(bucket, key string) string { return bucket + "/" + key }

// putObject writes the content to a file of its own first. The conditional write is decided where the row is made, and no two
// transactions that write run at once.
func putObject(q *call, in *s3Request) (*s3Answer, error) {
	if _, err := q.bucketOf(in); err != nil {
		return nil, err
	}
	old, there := q.objects.Get(q.tx, objectKey(in.bucket, in.key))
	switch condition := in.Header.Get("If-None-Match"); {
	case condition != "" && condition != "*":
		return nil, s3Error("NotImplemented", http.StatusNotImplemented, "A header you provided implies functionality that is not implemented: If-None-Match takes * only")
	case condition == "*" && there:
		return nil, s3Error("PreconditionFailed", http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold")
	case len(in.key) > maxKey:
		return nil, s3Error("KeyTooLongError", http.StatusBadRequest, "Your key is too long")
	}
	data, err := in.content()
	if err != nil {
		return nil, err
	}
	row, err := in.object(data)
	if err != nil {
		return nil, err
	}
	row.Modified = q.now.Truncate(time.Second) // as HTTP tells it
	if err := os.MkdirAll(q.objectPath(""), 0o700); err != nil {
		return nil, fmt.Errorf("store an object: %w", err)
	}
	if err := renameio.WriteFile(q.objectPath(row.File), data, 0o600, renameio.WithTempDir(q.objectPath(""))); err != nil {
		return nil, fmt.Errorf("store an object: %w", err)
	}
	q.objects.Put(q.tx, objectKey(in.bucket, in.key), row)
	if there {
		q.after(func() { q.removeObject(old.File) })
	}
	return &s3Answer{status: http.StatusOK, header: map[string]string{"ETag": row.ETag, "X-Amz-Checksum-Crc32": row.CRC32}}, nil
}

// object is the row of a content, which is what its sender says it is.
func (in *s3Request) object(data []byte) (objectRow, error) {
	sum := md5.Sum(data) //nolint:gosec // as above
	row := objectRow{
		Bucket: in.bucket, Key: in.key, File: newID("object-"), Size: int64(len(data)), ETag: `"` + hex.EncodeToString(sum[:]) + `"`,
		Type: in.Header.Get("Content-Type"), CRC32: crc(data),
	}
	if row.Type == "" {
		row.Type = "binary/octet-stream"
	}
	if given := in.Header.Get("Content-Md5"); given != "" && given != base64.StdEncoding.EncodeToString(sum[:]) {
		return row, s3Error("BadDigest", http.StatusBadRequest, "The Content-MD5 you specified did not match what we received.")
	}
	if given := in.Header.Get("X-Amz-Checksum-Crc32"); given != "" && given != row.CRC32 {
		return row, s3Error("BadDigest", http.StatusBadRequest, "The CRC32 you specified did not match the calculated checksum.")
	}
	return row, nil
}

// getObject answers GetObject and HeadObject.
func getObject(q *call, in *s3Request) (*s3Answer, error) {
	if _, err := q.bucketOf(in); err != nil {
		return nil, err
	}
	row, ok := q.objects.Get(q.tx, objectKey(in.bucket, in.key))
	if !ok {
		return nil, s3Error("NoSuchKey", http.StatusNotFound, "The specified key does not exist.")
	}
	header := map[string]string{"ETag": row.ETag, "Content-Type": row.Type}
	if in.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && in.Header.Get("Range") == "" {
		header["X-Amz-Checksum-Crc32"], header["X-Amz-Checksum-Type"] = row.CRC32, "FULL_OBJECT"
	}
	return &s3Answer{header: header, object: &row}, nil
}

func deleteObject(q *call, in *s3Request) (*s3Answer, error) {
	if _, err := q.bucketOf(in); err != nil {
		return nil, err
	}
	key := objectKey(in.bucket, in.key)
	if row, ok := q.objects.Get(q.tx, key); ok {
		q.objects.Delete(q.tx, key)
		q.after(func() { q.removeObject(row.File) })
	}
	return &s3Answer{status: http.StatusNoContent}, nil
}

func (c *Cloud) removeObject(file string) {
	if err := os.Remove(c.objectPath(file)); err != nil {
		c.log.Error("the sandbox could not remove the content of an object", "file", file, "error", err)
	}
}
