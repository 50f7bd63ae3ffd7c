package roles

import (
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What imgops remembers between runs lies in .git/imgops: each file may be deleted at any time, a damaged one counts as
// missing, and where it cannot be written the next run does the work again. No result depends on any of them.

var crcTable = crc32.IEEETable

// readMemory gives what saveMemory wrote, less its head; false when it is missing, damaged or of another format.
func readMemory(file, head string) (string, bool) {
	data, _, err := readText(file)
	if err != nil || len(data) < len(head)+crc32.Size {
		return "", false
	}
	body, sum := data[:len(data)-crc32.Size], data[len(data)-crc32.Size:]
	if string(hashText(crc32.New(crcTable), body)) != sum {
		return "", false
	}
	return strings.CutPrefix(body, head)
}

// saveMemory writes a file whole or not at all.
func saveMemory(file string, body []byte) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+"-*")
	if err != nil {
		return
	}
	_, err = temp.Write(binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crcTable)))
	if closing := temp.Close(); err != nil || closing != nil || os.Rename(temp.Name(), file) != nil {
		_ = os.Remove(temp.Name()) // the reason for the failure does not matter either
	}
}

// readText reads a file as one string, of which others can be parts. What it tells of the file is from before the reading.
func readText(name string) (_ string, info fs.FileInfo, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err = f.Stat(); err != nil {
		return "", nil, err
	}
	var text strings.Builder
	text.Grow(int(info.Size()))
	_, err = io.CopyBuffer(struct{ io.Writer }{&text}, struct{ io.Reader }{f}, make([]byte, textChunk))
	return text.String(), info, err
}

// hashText gives the hash of a text, which is not copied as a whole.
func hashText(h hash.Hash, text string) []byte {
	chunk := make([]byte, min(textChunk, len(text)))
	for len(text) > 0 {
		n := copy(chunk, text)
		_, _ = h.Write(chunk[:n]) // never fails (hash.Hash)
		text = text[n:]
	}
	return h.Sum(nil)
}

const textChunk = 64 << 10

// memoryReader reads numbers and texts one after another. After one that is not there, bad is set and all are zero.
type memoryReader struct {
	rest string
	bad  bool
}

func (r *memoryReader) take(n int) string {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, ""
		return ""
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *memoryReader) word() uint64 {
	if b := r.take(8); b != "" {
		return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
	}
	return 0
}

func (r *memoryReader) half() uint32 {
	if b := r.take(4); b != "" {
		return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	}
	return 0
}

// count is a length that what follows can hold: at least a byte for each.
func (r *memoryReader) count() int {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.take(1)
		if b == "" {
			return 0
		}
		n |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			break
		}
	}
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, ""
		return 0
	}
	return int(n) //nolint:gosec // no longer than a string
}

func (r *memoryReader) text() string { return r.take(r.count()) }
