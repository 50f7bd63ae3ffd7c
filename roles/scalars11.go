package roles

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// What a plain scalar is to Ansible, which reads YAML 1.1 with PyYAML (yaml/resolver.py): `1e3`, `0o17` and `018` are text,
// `017` is 15, `1:30` counts sixties. go.yaml.in/yaml reads something between 1.1 and 1.2.
var (
	intForm = lazy(`^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)

	floatForm = lazy(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)

	timeForm = lazy(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?` +
		`(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?)$`)

	// decimalForm is what Python's float() takes of what is not one by its form alone, such as `!!float 1e3`.
	decimalForm = lazy(`^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$`)
)

// maxDigits is how long a number Python reads as decimal text: sys.int_info.default_max_str_digits.
const maxDigits = 4300

// plainTag gives the tag that PyYAML resolves a plain scalar to.
func plainTag(text string) string {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return "!!null"
	case "=":
		return "!!value"
	case "<<":
		return "!!merge"
	}
	if _, ok := yaml11Bool(text); ok {
		return "!!bool"
	}
	if !strings.ContainsRune("+-.0123456789", rune(text[0])) {
		return "!!str"
	}
	switch {
	case intForm().MatchString(text):
		return "!!int"
	case floatForm().MatchString(text):
		return "!!float"
	case timeForm().MatchString(text):
		return "!!timestamp"
	}
	return "!!str"
}

// yaml11Bool reads the words of PyYAML, which are these in three ways of writing each.
func yaml11Bool(word string) (value, ok bool) {
	switch word {
	case "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE":
		return true, true
	case "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// unreadable is why a scalar cannot be handed to Ansible as it is.
type unreadable struct{ why, fix string }

// pythonInt gives what PyYAML makes of an integer: an int, or the digits of one that is longer.
func pythonInt(text string) (any, *unreadable) {
	if strings.Contains(text, ":") {
		return nil, sixties(text)
	}
	digits := strings.ReplaceAll(text, "_", "")
	sign, digits := cutSign(digits)
	base := 10
	switch {
	case strings.HasPrefix(digits, "0b"):
		base, digits = 2, digits[2:]
	case strings.HasPrefix(digits, "0x"):
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, ok := new(big.Int).SetString(sign+digits, base)
	switch {
	case !ok || strings.ContainsAny(digits, "+-"):
		return nil, &unreadable{"is no number to Ansible", "quote it: " + strconv.Quote(text)}
	case n.IsInt64() && n.Int64() == int64(int(n.Int64())):
		return int(n.Int64()), nil
	}
	out := n.String()
	if len(out) > maxDigits {
		return nil, &unreadable{fmt.Sprintf("has more than the %d digits that Python reads", maxDigits), "quote it"}
	}
	return json.Number(out), nil
}

func cutSign(text string) (sign, rest string) {
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		return "-", rest
	}
	return "", strings.TrimPrefix(text, "+")
}

// pythonFloat gives what PyYAML makes of a floating-point number, as JSON that Python reads as just that: 1.0 is no 1.
func pythonFloat(text string) (any, *unreadable) {
	if strings.Contains(text, ":") {
		return nil, sixties(text)
	}
	plain := strings.ToLower(strings.ReplaceAll(text, "_", ""))
	_, word := cutSign(plain)
	if word == ".inf" || word == ".nan" {
		return nil, &unreadable{"cannot be carried to Ansible in JSON", "quote it: " + strconv.Quote(text)}
	}
	if !decimalForm().MatchString(plain) {
		return nil, &unreadable{"is no number to Ansible", "quote it: " + strconv.Quote(text)}
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, &unreadable{"is larger than a floating-point number can be", "quote it: " + strconv.Quote(text)}
	}
	return floatNumber(f), nil
}

// floatNumber writes a number as encoding/json does, and a whole one so that it stays a floating-point number.
func floatNumber(f float64) json.Number {
	data, err := json.Marshal(f)
	if err != nil { // of infinities only
		return ""
	}
	text := string(data)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.Number(text)
}

// sixties refuses what hardly anybody means: to Ansible, 22:22 is 1342.
func sixties(text string) *unreadable {
	return &unreadable{"is a number that counts sixties to Ansible (YAML 1.1: 1:30 is 90)",
		"quote it if it is text: " + strconv.Quote(text) + "; or write the number in digits"}
}
