package roles

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	// Role and fleet names become part of image names ([A-Za-z0-9()[] ./'@_-], at most 128), SSM parameter names
	// ([A-Za-z0-9_.-] per level) and directory names; this is what all of them allow.
	nameForm    = lazy(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	accountForm = lazy(`^[0-9]{12}$`)
	regionForm  = lazy(`^[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}$`)
	roleARNForm = lazy(`^arn:aws[a-z-]*:iam::([0-9]{12}|\{account\}):role/.+$`)
	imageForm   = lazy(`^ami-([0-9a-f]{8}|[0-9a-f]{17})$`)
	typeForm    = lazy(`^[a-z][a-z0-9-]*\.[a-z0-9-]+$`)
	diskForm    = lazy(`^([0-9]{1,5})GiB$`)
	userForm    = lazy(`^[a-z_][a-z0-9_-]{0,31}$`)
	daysForm    = lazy(`^([0-9]{1,5})(d|w)$`)
	digits      = lazy(`^[0-9]+$`)
)

// Lengths that keep "imgops/<fleet>/<role>/<digest>" inside the 128 characters of an image name.
const (
	maxFleetName = 32
	maxRoleName  = 64
	maxDiskGiB   = 65536 // the largest gp3 volume
)

func checkName(name string, most int) (message, fix string) {
	switch {
	case len(name) > most:
		return fmt.Sprintf("is longer than %d characters", most), "shorten it: it becomes part of image names, which are limited"
	case !nameForm().MatchString(name):
		return "may hold letters, digits, `.`, `_` and `-` only and starts with a letter or digit",
			"rename it: it becomes part of image and parameter names"
	}
	return "", ""
}

func (s *source) name(n *yaml.Node, what string, most int) (string, bool) {
	v, ok := s.text(n, what)
	if !ok {
		return "", false
	}
	if message, fix := checkName(v, most); message != "" {
		s.add(at(n), fmt.Sprintf("%s %q %s", what, v, message), fix)
		return "", false
	}
	return v, true
}

// account reads an account id. Unquoted, YAML takes it for a number, and tools that rewrite the file drop its zeroes.
func (s *source) account(n *yaml.Node, what string) (string, bool) {
	where := at(n)
	n = resolveAlias(n)
	if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!int" || n.ShortTag() == "!!float") {
		message := fmt.Sprintf("%s %s is a number, and numbers lose leading zeroes", what, n.Value)
		fix := "quote it: an account id is 12 digits of text"
		if digits().MatchString(n.Value) && len(n.Value) <= 12 {
			fix = fmt.Sprintf("quote it: %q", n.Value)
			if len(n.Value) < 12 {
				message = fmt.Sprintf("%s %s is a number of %d digits; an account id has 12, so leading zeroes were lost", what, n.Value, len(n.Value))
				fix = fmt.Sprintf("write %q with quotes, if that is the account", strings.Repeat("0", 12-len(n.Value))+n.Value)
			}
		}
		s.add(where, message, fix)
		return "", false
	}
	v, ok := s.text(n, what)
	if ok && !accountForm().MatchString(v) {
		fix := `write the 12 digits in quotes, without dashes, such as "111111111111"`
		if plain := strings.ReplaceAll(v, "-", ""); accountForm().MatchString(plain) {
			fix = fmt.Sprintf("write %q", plain)
		}
		s.add(where, fmt.Sprintf("%s %q is not an account id", what, v), fix)
		return "", false
	}
	return v, ok
}

func (s *source) form(n *yaml.Node, what string, form *regexp.Regexp, is, fix string) (string, bool) {
	v, ok := s.text(n, what)
	if ok && !form.MatchString(v) {
		s.add(at(n), fmt.Sprintf("%s %q is not %s", what, v, is), fix)
		return "", false
	}
	return v, ok
}

func (s *source) duration(n *yaml.Node, what string) (Duration, bool) {
	where := at(n)
	n = resolveAlias(n)
	fix := `write a number and its unit: "90s", "15m", "720h"`
	if n.Kind == yaml.ScalarNode {
		d, err := time.ParseDuration(n.Value)
		if err == nil && d > 0 {
			return Duration(d), true
		}
		if m := daysForm().FindStringSubmatch(n.Value); m != nil {
			hours, _ := strconv.Atoi(m[1])
			fix = fmt.Sprintf("write it in hours: %dh", hours*map[string]int{"d": 24, "w": 168}[m[2]])
		}
	}
	s.add(where, fmt.Sprintf("%s must be a time above zero, not %s", what, written(n)), fix)
	return 0, false
}

func (s *source) disk(n *yaml.Node, what string) (int32, bool) {
	where := at(n)
	n = resolveAlias(n)
	size := 0
	if m := diskForm().FindStringSubmatch(n.Value); m != nil {
		size, _ = strconv.Atoi(m[1])
	}
	if n.Kind == yaml.ScalarNode && size >= 1 && size <= min(maxDiskGiB, math.MaxInt32) {
		return int32(size), true
	}
	fix := "write whole gibibytes, such as 8GiB"
	if number := strings.TrimRight(n.Value, " GgBbiI"); digits().MatchString(number) && number != "0" && len(number) < 6 {
		fix = "write " + strings.TrimLeft(number, "0") + "GiB"
	}
	s.add(where, fmt.Sprintf("%s must be a size between 1GiB and %dGiB, not %s", what, maxDiskGiB, written(n)), fix)
	return 0, false
}

// word reads one of a few words.
func (s *source) word(n *yaml.Node, what string, known ...string) (string, bool) {
	v, ok := s.text(n, what)
	if ok && !slices.Contains(known, v) {
		s.add(at(n), fmt.Sprintf("%s %q is unknown", what, v), choose(v, known))
		return "", false
	}
	return v, ok
}

// filePath reads a path inside the fleet.
func (s *source) filePath(n *yaml.Node, what string) (string, bool) {
	v, ok := s.text(n, what)
	if !ok {
		return "", false
	}
	if clean := path.Clean(v); path.IsAbs(v) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(v, `\`) {
		s.add(at(n), fmt.Sprintf("%s %q is not a path inside the fleet", what, v), "write a relative path with `/` and without `..`")
		return "", false
	}
	return path.Clean(v), true
}
