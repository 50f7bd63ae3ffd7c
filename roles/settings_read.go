package roles

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	format "github.com/go-git/go-git/v5/plumbing/format/config"
)

// settingsReader collects settings from files, the weakest first. What it cannot read counts for nothing.
type settingsReader struct {
	repo    *Repo
	section string // whose settings
	local   *format.Config
	values  settings
}

// maxIncludes is how deep files may include each other (MAX_INCLUDE_DEPTH in Git's config.c).
const maxIncludes = 10

// file reads a file, and what it includes at the place where it does.
func (s *settingsReader) file(name string, depth int) {
	data, err := os.ReadFile(name)
	if err != nil || depth > maxIncludes {
		return
	}
	if !bytes.Contains(bytes.ToLower(data), []byte("[include")) {
		if c, err := decodeSettings(data); err == nil {
			s.take(c)
			return
		}
	}
	for _, part := range sections(data) {
		if c, err := decodeSettings(part); err == nil {
			s.take(c)
			s.includes(c, name, depth)
		}
	}
}

func decodeSettings(data []byte) (*format.Config, error) {
	c := format.New()
	err := format.NewDecoder(bytes.NewReader(data)).Decode(c)
	if err != nil {
		c = format.New()
		err = format.NewDecoder(bytes.NewReader(headersAlone(data))).Decode(c)
	}
	return c, err
}

// headersAlone gives each section's header a line of its own, as go-git wants it and Git does not.
func headersAlone(data []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(data) {
		quoted, end := false, 0
		if header := bytes.TrimLeft(line, " \t"); bytes.HasPrefix(header, []byte("[")) {
			for i := len(line) - len(header); i < len(line) && end == 0; i++ {
				switch {
				case line[i] == '\\':
					i++
				case line[i] == '"':
					quoted = !quoted
				case line[i] == ']' && !quoted:
					end = i + 1
				}
			}
		}
		if end > 0 && len(bytes.TrimSpace(line[end:])) > 0 {
			out.Write(line[:end])
			out.WriteByte('\n')
			line = line[end:]
		}
		out.Write(line)
	}
	return out.Bytes()
}

// sections cuts a file before each of its sections: what an included file says is overruled by what follows the inclusion.
func sections(data []byte) [][]byte {
	var parts [][]byte
	start, at, continued := 0, 0, false
	for line := range bytes.Lines(data) {
		if !continued && at > start && bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("[")) {
			parts, start = append(parts, data[start:at]), at
		}
		at += len(line)
		continued = bytes.HasSuffix(bytes.TrimRight(line, "\r\n"), []byte(`\`))
	}
	return append(parts, data[start:])
}

func (s *settingsReader) take(c *format.Config) {
	if !c.HasSection(s.section) {
		return
	}
	for _, o := range c.Section(s.section).Options {
		s.values[strings.ToLower(o.Key)] = o.Value
	}
}

// includes reads the files that a section includes, if it is one that does.
func (s *settingsReader) includes(c *format.Config, name string, depth int) {
	if c.HasSection("include") {
		s.include(c.Section("include").OptionAll("path"), name, depth)
	}
	if !c.HasSection("includeIf") {
		return
	}
	for _, sub := range c.Section("includeIf").Subsections {
		if s.holds(sub.Name, name) {
			s.include(sub.OptionAll("path"), name, depth)
		}
	}
}

func (s *settingsReader) include(files []string, from string, depth int) {
	for _, file := range files {
		file = expandHome(file)
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(from), file)
		}
		s.file(file, depth+1)
	}
}

// holds says whether the condition of an inclusion holds (git-config(1), CONDITIONAL INCLUDES). One that is not known does not.
func (s *settingsReader) holds(condition, from string) bool {
	kind, pattern, _ := strings.Cut(condition, ":")
	switch kind {
	case "gitdir":
		return s.inGitDir(pattern, from, func(s string) string { return s })
	case "gitdir/i":
		return s.inGitDir(pattern, from, strings.ToLower)
	case "onbranch":
		head, err := os.ReadFile(filepath.Join(s.repo.gitDir, "HEAD"))
		branch, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: refs/heads/")
		return err == nil && ok && wildmatch(below(pattern), branch)
	case "hasconfig":
		url, ok := strings.CutPrefix(pattern, "remote.*.url:")
		return ok && s.hasRemote(url)
	}
	return false
}

func (s *settingsReader) hasRemote(pattern string) bool {
	if !s.local.HasSection("remote") {
		return false
	}
	for _, remote := range s.local.Section("remote").Subsections {
		for _, url := range remote.OptionAll("url") {
			if wildmatch(pattern, url) {
				return true
			}
		}
	}
	return false
}

func (s *settingsReader) inGitDir(pattern, from string, fold func(string) string) bool {
	if rest, ok := strings.CutPrefix(pattern, "./"); ok {
		pattern = quoteGlob(filepath.Dir(resolved(from))) + "/" + rest
	} else if home := expandHome(pattern); home != pattern {
		pattern = quoteGlob(resolved(expandHome("~/"))) + strings.TrimPrefix(pattern, "~")
	} else if !filepath.IsAbs(pattern) {
		pattern = "**/" + pattern
	}
	pattern = fold(below(pattern))
	dir, err := filepath.Abs(s.repo.gitDir)
	return err == nil && (wildmatch(pattern, fold(resolved(dir))) || wildmatch(pattern, fold(dir)))
}

// below makes a pattern that ends with a slash one for all that lies below.
func below(pattern string) string {
	if strings.HasSuffix(pattern, "/") {
		return pattern + "**"
	}
	return pattern
}

// environment reads what GIT_CONFIG_COUNT announces, as CI systems set it.
func (s *settingsReader) environment() {
	count, err := strconv.Atoi(os.Getenv("GIT_CONFIG_COUNT"))
	for i := 0; err == nil && i < count; i++ {
		section, key, ok := strings.Cut(strings.ToLower(os.Getenv("GIT_CONFIG_KEY_"+strconv.Itoa(i))), ".")
		if ok && section == s.section {
			s.values[key] = os.Getenv("GIT_CONFIG_VALUE_" + strconv.Itoa(i))
		}
	}
}

// expandHome replaces the ~/ at the beginning of a path.
func expandHome(file string) string {
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		home, _ := os.UserHomeDir()
		return filepath.Join(home, rest)
	}
	return file
}

// resolved follows symlinks, where it can.
func resolved(name string) string {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}
