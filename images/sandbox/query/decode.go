package query

import (
	"encoding/base64"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
)

// Decode fills the struct that dst points to. A field takes the parameter of its own name, or of the name in its tag
// `query:"Name"`, which may have dots (`query:"Tags.member"`); `query:"Name,required"` refuses a request without it.
// Fields are strings, bools, int32, int64, time.Time (ISO 8601), []byte (base64), pointers to these (nil when absent),
// structs (Name.Field), pointers to structs, and slices (Name.1, Name.2); embedded structs lend their fields.
// Every error is an *Error: UnknownParameter, MissingParameter, InvalidParameterValue or InvalidParameterCombination.
func Decode(params url.Values, dst any) error {
	root, err := parse(params)
	if err != nil {
		return err
	}
	return decodeStruct(root, reflect.ValueOf(dst).Elem(), "")
}

type field struct {
	name     string
	required bool
	value    reflect.Value
}

// fields lists the settable fields of a struct, those of embedded structs included.
func fields(v reflect.Value) []field {
	var out []field
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, fields(v.Field(i))...)
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("query"), ",")
		if name == "" {
			name = f.Name
		}
		out = append(out, field{name, option == "required", v.Field(i)})
	}
	return out
}

// dig moves the child (or, for a name with dots, the descendant) of that name out of n.
func dig(n *node, name string) *node {
	head, rest, more := strings.Cut(name, ".")
	c := n.children[head]
	if c == nil {
		return nil
	}
	if !more {
		delete(n.children, head)
		return c
	}
	found := dig(c, rest)
	if len(c.children) == 0 && (c.value == nil || found != nil) {
		delete(n.children, head)
	}
	return found
}

func decodeStruct(n *node, v reflect.Value, path string) error {
	if n.value != nil && path != "" && *n.value != "" {
		return unknownParameter(path)
	}
	for _, f := range fields(v) {
		c := dig(n, f.name)
		if c == nil {
			if f.required {
				return missingParameter(join(path, f.name))
			}
			continue
		}
		if err := decodeValue(c, f.value, join(path, f.name)); err != nil {
			return err
		}
	}
	if len(n.children) > 0 {
		name := n.names()[0]
		return unknownParameter(n.children[name].first(join(path, name)))
	}
	return nil
}

func decodeValue(n *node, v reflect.Value, path string) error {
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeValue(n, v.Elem(), path)
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		return decodeStruct(n, v, path)
	case v.Kind() == reflect.Slice && v.Type() != bytesType:
		return decodeList(n, v, path)
	}
	if n.value == nil || len(n.children) > 0 {
		for _, name := range n.names() {
			return unknownParameter(n.children[name].first(join(path, name)))
		}
	}
	return decodeScalar(*n.value, v, path)
}

func decodeList(n *node, v reflect.Value, path string) error {
	if n.value != nil && *n.value != "" {
		return unknownParameter(path) // an empty value is how the query protocol writes an empty list
	}
	items, paths, err := n.items(path)
	if err != nil {
		return err
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := decodeValue(item, list.Index(i), paths[i]); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func decodeScalar(s string, v reflect.Value, path string) error {
	switch {
	case v.Type() == timeType:
		t, err := parseTime(s)
		if err != nil {
			return badValue(s, path, "Give a time as 2006-01-02T15:04:05Z")
		}
		v.Set(reflect.ValueOf(t))
	case v.Type() == bytesType:
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
		if err != nil {
			return Errorf("InvalidParameterValue", "The parameter %s is not valid base64", path)
		}
		v.SetBytes(b)
	case v.Kind() == reflect.String:
		if i := strings.IndexFunc(s, notInXML); i >= 0 || !utf8.ValidString(s) {
			return badValue(strconv.Quote(s), path, "It has characters that no answer could show: those of XML 1.0 are allowed, in UTF-8")
		}
		v.SetString(s)
	case v.Kind() == reflect.Bool:
		yes := strings.EqualFold(s, "true")
		if !yes && !strings.EqualFold(s, "false") {
			return badValue(s, path, "Give true or false")
		}
		v.SetBool(yes)
	case v.CanInt():
		i, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return badValue(s, path, "Give an integer")
		}
		v.SetInt(i)
	default:
		return Errorf("InternalError", "the sandbox cannot decode parameter %s into a %s", path, v.Type()).WithStatus(500)
	}
	return nil
}

// notInXML: an answer cannot have the character. It would come back as another one, and a stored value must not change.
func notInXML(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

// parseTime reads the forms that the SDKs and people send: with and without fractions and zone, and the date alone.
func parseTime(s string) (time.Time, error) {
	var err error
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z", "2006-01-02"} {
		var t time.Time
		if t, err = time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, err
}
