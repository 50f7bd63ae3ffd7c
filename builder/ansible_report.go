package builder

import (
	"encoding/json"
	"strings"
	"sync"
)

// messageLines bounds what an error shows of a task's message.
const messageLines = 20

var (
	taskLine = lazy(`^(?:TASK|RUNNING HANDLER) \[(.*)\] \**$`)
	failLine = lazy(`^(?:fatal|failed): \[[^\]]*\](?:: (?:FAILED|UNREACHABLE)!)?( \(item=.*?\))? => ?(.*)$`)
	runError = lazy(`^(?:ERROR!|\[ERROR\]:) (.*)$`)
	warnLine = lazy(`^\[(?:WARNING|DEPRECATION WARNING)\]`)
)

// report reads ansible-playbook's output, as the default and the yaml callback write it, for the task that is run and
// for the one that failed. It is an io.Writer; the zero value is ready.
type report struct {
	task func(name string) // called with each task that begins; may be nil

	mu      sync.Mutex
	rest    string // an unfinished line
	current string
	tasks   int
	noHosts bool
	failing *failed // the last task that failed, unless that was ignored: the run ended with it
	before  *failed // what failing was when the current task began
	gathers *failed // whose message goes on in the next lines
	errText []string
	inError bool
}

type failed struct {
	task string
	item string // of a loop
	text []string
}

func (r *report) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := r.rest + string(p)
	for {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			// A line without an end is not kept for ever.
			r.rest = line[:min(len(line), 1<<20)]
			return len(p), nil
		}
		r.line(strings.TrimRight(line, "\r"))
		text = rest
	}
}

func (r *report) line(line string) {
	if m := taskLine().FindStringSubmatch(line); m != nil {
		r.begin(m[1])
		return
	}
	if m := failLine().FindStringSubmatch(line); m != nil {
		f := &failed{task: r.current, item: strings.TrimSpace(m[1]), text: []string{m[2]}}
		if r.failing == r.before { // of a loop, the first item that failed
			r.failing = f
		}
		r.gathers, r.inError = f, false
		return
	}
	if m := runError().FindStringSubmatch(line); m != nil {
		r.errText, r.inError, r.gathers = append(r.errText, m[1]), true, nil
		return
	}
	switch {
	case strings.HasPrefix(line, "...ignoring"):
		r.failing, r.gathers = r.before, nil
	case strings.HasPrefix(line, "skipping: no hosts matched"):
		r.noHosts = true
	case strings.TrimSpace(line) == "" || warnLine().MatchString(line):
		r.gathers = nil
	case strings.HasPrefix(line, "PLAY "):
		r.gathers, r.inError = nil, false
	case r.gathers != nil:
		r.gathers.text = append(r.gathers.text, line)
	case r.inError:
		r.errText = append(r.errText, line)
	}
}

func (r *report) begin(task string) {
	r.current, r.before, r.gathers, r.inError = task, r.failing, nil, false
	r.tasks++
	if r.task != nil {
		r.task(task)
	}
}

// ranNothing says that Ansible found no host for its plays.
func (r *report) ranNothing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.noHosts && r.tasks == 0
}

// failure gives the task that ended the run and what it said; without a failed task, what Ansible itself said.
func (r *report) failure() (task, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing == nil {
		return "", firstLines(strings.Join(r.errText, "\n"))
	}
	f := r.failing
	return f.task, firstLines(f.item + " " + resultMessage(strings.Join(f.text, "\n")))
}

// resultMessage takes what a person needs from a task's result: JSON from the default callback; anything else is shown as it is.
func resultMessage(text string) string {
	text = strings.TrimSpace(text)
	var result map[string]any
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return text
	}
	var parts []string
	for _, key := range []string{"msg", "censored", "reason", "module_stderr", "stderr", "stdout", "module_stdout"} {
		if s := valueText(result[key]); s != "" && !contains(parts, s) {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return text
	}
	return strings.Join(parts, "\n")
}

func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// contains spares repetitions: modules often say the same in msg and stderr.
func contains(parts []string, s string) bool {
	for _, p := range parts {
		if strings.Contains(p, s) {
			return true
		}
	}
	return false
}

func firstLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > messageLines {
		lines = append(lines[:messageLines], "...")
	}
	return strings.Join(lines, "\n")
}
