package verifier

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func readTAP(text string) *tap {
	t := newTAP()
	w := &lineWriter{fn: t.line}
	_, _ = io.WriteString(w, text)
	w.Flush()
	return t
}

func TestTAP(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		text string
		want []Result
		err  string
	}{
		"bats 1.8": {
			"1..4\n# setup\nok 1 ok one in 8ms\nnot ok 2 fails # hash in 9ms\n# (in test file a.bats, line 3)\n#   `false' failed\nok 3 skipped in 7ms # skip no reason # x\nok 4 bare in 10ms # skip\n",
			[]Result{
				{Name: "ok one", Status: Passed, Duration: 8 * ms},
				{Name: "fails # hash", Status: Failed, Duration: 9 * ms, Output: "(in test file a.bats, line 3)\n  `false' failed\n"},
				{Name: "skipped", Status: Skipped, Duration: 7 * ms, Output: "no reason # x"},
				{Name: "bare", Status: Skipped, Duration: 10 * ms},
			}, "",
		},
		"tap formatter":   {"1..2\nok 1 a # in 5 ms\nnot ok 2 b # in 6 ms # timeout after 5 s\n", []Result{{Name: "a", Status: Passed, Duration: 5 * ms}, {Name: "b", Status: Failed, Duration: 6 * ms}}, ""},
		"no timing":       {"1..2\nok 1 a # SKIP why\nok 2 b\n", []Result{{Name: "a", Status: Skipped, Output: "why"}, {Name: "b", Status: Passed}}, ""},
		"plan last, CRLF": {"ok 1 a\r\n1..1\r\n", []Result{{Name: "a", Status: Passed}}, ""},
		"no newline":      {"1..1\nok 1 a", []Result{{Name: "a", Status: Passed}}, ""},
		"no name":         {"1..1\nok 1", []Result{{Name: "test 1", Status: Passed}}, ""},
		"skip in a name":  {"1..1\nok 1 do not # skip me in 3ms\n", []Result{{Name: "do not # skip me", Status: Passed, Duration: 3 * ms}}, ""},
		"failed skip":     {"1..1\nnot ok 1 a # skip b\n", []Result{{Name: "a # skip b", Status: Failed}}, ""},
		"todo is no pass": {"1..1\nnot ok 1 a # TODO b\n", []Result{{Name: "a # TODO b", Status: Failed}}, ""},
		"empty":           {"", nil, "no plan (1..N) after 0 tests"},
		"no plan":         {"ok 1 a\n", []Result{{Name: "a", Status: Passed}}, "no plan (1..N) after 1 tests"},
		"no tests":        {"1..0\n", nil, "the file holds no tests"},
		"too few":         {"1..2\nok 1 a\n", []Result{{Name: "a", Status: Passed}}, "2 tests were planned, 1 ended"},
		"too many":        {"1..1\nok 1 a\nok 2 b\n", []Result{{Name: "a", Status: Passed}, {Name: "b", Status: Passed}}, "1 tests were planned, 2 ended"},
		"bail out":        {"1..1\nok 1 a\nBail out! no disk\n", []Result{{Name: "a", Status: Passed}}, "bailed out: no disk"},
		"huge plan":       {"1..99999999999999999999\nok 1 a\n", []Result{{Name: "a", Status: Passed}}, "no plan"},
	} {
		t.Run(name, func(t *testing.T) {
			got := readTAP(c.text)
			require.Equal(t, c.want, got.tests)
			if c.err == "" {
				require.NoError(t, got.check())
			} else {
				require.ErrorContains(t, got.check(), c.err)
			}
		})
	}
}

func FuzzTAP(f *testing.F) {
	f.Add("1..2\nok 1 a in 8ms # skip x\nnot ok 2 b\n# c\nBail out! d\n")
	f.Add("1..0\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := readTAP(text)
		ends := 0
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "not ok ") {
				ends++
			}
		}
		require.LessOrEqual(t, len(got.tests), ends)
		if got.check() == nil {
			require.Len(t, got.tests, got.planned)
			require.NotEmpty(t, got.tests)
		}
		for _, r := range got.tests {
			require.NotEmpty(t, r.Name)
			require.GreaterOrEqual(t, r.Duration, time.Duration(0))
			require.True(t, utf8.ValidString(r.Name+r.Output))
		}
	})
}

func TestParseJUnit(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Result
		err  string
	}{
		"pytest": {`<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="0" tests="3">
			<testcase classname="test_web" name="test_a" file="test_web.py" line="2" time="0.250" />
			<testcase classname="test_web.TestX" name="test_b" time="1"><failure message="AssertionError: no">trace
back</failure><system-out>said</system-out></testcase>
			<testcase classname="" name="test_web" time="0"><error message="collection failure">ImportError</error></testcase>
			<testcase classname="test_web" name="test_c" file="test_web.py" time="0"><skipped type="pytest.skip" message="not here">test_web.py:3: not here</skipped></testcase>
			</testsuite></testsuites>`, []Result{
			{Name: "test_a", Status: Passed, File: "test_web.py", Duration: 250 * time.Millisecond},
			{Name: "test_b", Status: Failed, File: "test_web/TestX.py", Duration: time.Second, Output: "AssertionError: no\ntrace\nback\nsaid"},
			{Name: "test_web", Status: Errored, Output: "collection failure\nImportError"},
			{Name: "test_c", Status: Skipped, File: "test_web.py", Output: "not here\ntest_web.py:3: not here"},
		}, ""},
		"one suite":     {`<testsuite><testcase name="a" time="x"/></testsuite>`, []Result{{Name: "a", Status: Passed}}, ""},
		"error wins":    {`<testsuite><testcase name="a"><failure message="f"/><error message="e"/></testcase></testsuite>`, []Result{{Name: "a", Status: Errored, Output: "e\n\nf"}}, ""},
		"no tests":      {`<testsuites/>`, nil, ""},
		"empty":         {``, nil, "EOF"},
		"cut off":       {`<testsuites><testsuite><testcase name="a"/>`, []Result{{Name: "a", Status: Passed}}, "unexpected EOF"},
		"another thing": {`<html/>`, nil, "the document is a <html>"},
		"infinite time": {`<testsuite><testcase name="a" time="1e300"/></testsuite>`, []Result{{Name: "a", Status: Passed}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseJUnit(strings.NewReader(c.text))
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
			for i := range got {
				got[i].Output = strings.TrimSpace(got[i].Output)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func FuzzParseJUnit(f *testing.F) {
	f.Add([]byte(`<testsuites><testsuite><testcase classname="a" name="b" time="1.5"><failure message="m">t</failure></testcase></testsuite></testsuites>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseJUnit(bytes.NewReader(data))
		if err != nil {
			return
		}
		// What was read can be reported, and read again.
		report := Report{Image: "ami-1", Role: "web", Suites: []SuiteReport{{Name: "s", Results: list}}}
		var out bytes.Buffer
		require.NoError(t, report.WriteJUnit(&out))
		again, err := parseJUnit(&out)
		require.NoError(t, err)
		require.Len(t, again, len(list))
		for i, r := range again {
			require.Equal(t, list[i].Status, r.Status)
			require.GreaterOrEqual(t, r.Duration, time.Duration(0))
		}
	})
}

func TestParseRSpec(t *testing.T) {
	list, err := parseRSpec(strings.NewReader(`{"examples":[
		{"full_description":"File x exists","status":"passed","file_path":"./web_spec.rb","run_time":0.5},
		{"full_description":"later","status":"pending","file_path":"./web_spec.rb","run_time":0,"pending_message":"why","exception":{"message":"x"}},
		{"full_description":"bad","status":"failed","file_path":"./web_spec.rb","run_time":0,"exception":{"message":"\nexpected 1"}},
		{"full_description":"odd","status":"new","file_path":"./web_spec.rb"}],"summary":{"errors_outside_of_examples_count":0}}`))
	require.NoError(t, err)
	require.Equal(t, []Result{
		{Name: "File x exists", Status: Passed, File: "web_spec.rb", Duration: 500 * time.Millisecond},
		{Name: "later", Status: Skipped, File: "web_spec.rb", Output: "why"},
		{Name: "bad", Status: Failed, File: "web_spec.rb", Output: "expected 1"},
		{Name: "odd", Status: Errored, File: "web_spec.rb", Output: `rspec gave the status "new"`},
	}, list)
	for _, text := range []string{"", "{}", `{"examples":[],"summary":{"errors_outside_of_examples_count":1}}`} {
		_, err := parseRSpec(strings.NewReader(text))
		require.Error(t, err, text)
	}
}

func TestCapture(t *testing.T) {
	var c capture
	n, err := c.Write([]byte("start"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	require.Equal(t, "start", c.String())
	for range 100 {
		_, _ = c.Write(bytes.Repeat([]byte("x"), 4<<10))
	}
	_, _ = c.Write([]byte("end\xff"))
	text := c.String()
	require.True(t, strings.HasPrefix(text, "startx"))
	require.True(t, strings.HasSuffix(text, "xend\uFFFD"))
	require.Contains(t, text, "bytes left out")
	require.Less(t, len(text), 2*outputLimit+100)
}

func TestAgentFor(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "imgops")
	o := Options{Executable: self}
	unames := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	here, ok := unames[runtime.GOARCH]
	if runtime.GOOS != "linux" || !ok {
		t.Skip("the names of this architecture are not in the test")
	}
	got, err := o.agentFor("Linux", here)
	require.NoError(t, err)
	require.Equal(t, self, got)

	_, err = o.agentFor("Linux", "riscv64")
	require.True(t, errors.Is(err, errNoAgent))
	require.ErrorContains(t, err, "go build -o "+dir+"/imgops-linux-riscv64")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "imgops-linux-riscv64"), nil, 0o755))
	got, err = o.agentFor("Linux", "riscv64")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "imgops-linux-riscv64"), got)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "other-riscv64"), nil, 0o755))
	o.Agent = filepath.Join(dir, "other-{arch}")
	got, err = o.agentFor("Linux", "riscv64")
	require.NoError(t, err)
	require.Equal(t, o.Agent[:len(o.Agent)-len("{arch}")]+"riscv64", got)
}

func TestJUnitEscapes(t *testing.T) {
	report := Report{Role: "web", Image: "ami-1", Suites: []SuiteReport{{Name: "s", Error: "lost\nmore", Results: []Result{
		{Suite: "s", Kind: "sh", Name: "<a & \"b\">", Status: Failed, Output: "\x1b[31mred\x00 ]]> </failure>\n"},
	}}}}
	report.judge()
	require.False(t, report.Passed)
	var out bytes.Buffer
	require.NoError(t, report.WriteJUnit(&out))
	require.NoError(t, xml.Unmarshal(out.Bytes(), new(struct{})))
	list, err := parseJUnit(&out)
	require.NoError(t, err)
	require.Equal(t, "<a & \"b\">", list[0].Name)
	require.Equal(t, Failed, list[0].Status)
	require.Contains(t, list[0].Output, "red\uFFFD ]]> </failure>")
	require.Equal(t, Errored, list[1].Status)
}
