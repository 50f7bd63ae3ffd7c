package sandbox

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultSyntax is how a fault rule is written, with examples.
const FaultSyntax = `SERVICE[/REGION]:ACTION:WHEN:KIND
  ACTION  a name, or * for every action of the service
  WHEN    N (the N-th such call), N- (from the N-th on), N-M, P% (at random), or every;
          for lost, failed and terminated only calls count that are not refused
  KIND    error=CODE        the call is refused with the code
          hang=DURATION     the call is held up so long and then carried out
          lost              the call is carried out, its answer is lost
          failed[=CODE]     the image or snapshot that it makes fails later (CreateImage, CopyImage, CreateSnapshot, CopySnapshot)
          terminated[=CODE] the instances that it launches end before they run (RunInstances)
  such as ec2:CreateImage:2:lost, ec2/eu-west-1:CopyImage:1:failed, ec2:RunInstances:every:error=InsufficientInstanceCapacity`

var (
	faultCode = lazy(`^[A-Z][A-Za-z0-9.]{1,99}$`)

	// makers are the actions whose result comes later, by the kind of fault that can befall it.
	makers = map[faultKind][]string{
		strikeFailed:     {"CreateImage", "CopyImage", "CreateSnapshot", "CopySnapshot"},
		strikeTerminated: {"RunInstances"},
	}
)

const maxHang = 24 * time.Hour

// ParseFault reads a rule such as ec2:CreateImage:2:lost. Its errors say what is wrong and give the syntax.
func ParseFault(text string) (Fault, error) {
	f, err := parseFault(text)
	if err != nil {
		return Fault{}, fmt.Errorf("fault rule %q: %w; the syntax is %s", text, err, FaultSyntax)
	}
	return f, nil
}

func parseFault(text string) (Fault, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 4 {
		return Fault{}, fmt.Errorf("it has %d of the four parts", len(parts))
	}
	f := Fault{text: text, action: parts[1]}
	f.service, f.region, _ = strings.Cut(parts[0], "/")
	table, known := actionsOf(f.service)
	switch _, isAction := table[f.action]; {
	case !known:
		return f, fmt.Errorf("there is no service %q", f.service)
	case strings.Contains(parts[0], "/") && !isRegion(f.region):
		return f, fmt.Errorf("there is no Region %q", f.region)
	case f.action != "*" && !isAction:
		return f, fmt.Errorf("%s has no action %q here", f.service, f.action)
	}
	if err := f.parseWhen(parts[2]); err != nil {
		return f, err
	}
	return f, f.parseKind(parts[3])
}

// actionsOf is the table of a service.
func actionsOf(service string) (map[string]action, bool) {
	if table, ok := queryServices[service]; ok {
		return table, true
	}
	table, ok := jsonServices[service]
	return table, ok
}

func isRegion(name string) bool {
	_, known := regionByName(name)
	return known
}

func (f *Fault) parseWhen(word string) error {
	f.first, f.last = 1, math.MaxInt
	if word == "every" {
		return nil
	}
	if p, ok := strings.CutSuffix(word, "%"); ok {
		n, err := strconv.ParseFloat(p, 64)
		if err != nil || !(n > 0 && n <= 100) {
			return fmt.Errorf("%q is no share of calls; give one above 0%% up to 100%%", word)
		}
		f.percent = n
		return nil
	}
	from, to, isRange := strings.Cut(word, "-")
	var err error
	if f.first, err = ordinal(from); err != nil {
		return err
	}
	switch {
	case !isRange:
		f.last = f.first
	case to != "":
		if f.last, err = ordinal(to); err == nil && f.last < f.first {
			err = fmt.Errorf("the calls %q end before they begin", word)
		}
	}
	return err
}

func ordinal(word string) (int, error) {
	n, err := strconv.ParseUint(word, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no number of a call; they count from 1", word)
	}
	return int(n), nil
}

func (f *Fault) parseKind(word string) error {
	name, value, has := strings.Cut(word, "=")
	f.kind = faultKind(name)
	switch f.kind {
	case strikeError:
		f.code = value
	case strikeHang:
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || d > maxHang {
			return fmt.Errorf("%q is no duration up to %v, such as 30s", value, maxHang)
		}
		f.hang = d
		return nil
	case strikeLost:
		if has {
			return fmt.Errorf("%s takes no value", name)
		}
		return nil
	case strikeFailed, strikeTerminated:
		if !slices.Contains(makers[f.kind], f.action) {
			return fmt.Errorf("%s is for %s, not for %s", name, strings.Join(makers[f.kind], ", "), f.action)
		}
		if f.code = value; !has {
			f.code = "Server.InternalError"
		}
	default:
		kinds := []string{"error", "hang", "lost"}
		return fmt.Errorf("there is no kind %q; the kinds are %s", name, strings.Join(append(kinds, kindsOf(makers)...), ", "))
	}
	if !faultCode().MatchString(f.code) {
		return fmt.Errorf("%q is no error code", f.code)
	}
	return nil
}

func kindsOf(m map[faultKind][]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, string(k))
	}
	return out
}
