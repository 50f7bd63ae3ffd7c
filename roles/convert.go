package roles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// toConvert is a file that Git is to check out.
type toConvert struct {
	repo *Repo
	path string // in its repository
	at   string // in the fleet
	id   plumbing.Hash
	mode fs.FileMode
	as   conversion
}

// convert has Git check files out, and gives each to use, as a path on disk. Git knows how: filters are commands of the
// user's settings, and speak protocols of their own. What is converted, and into what, it is told in full, so that
// nothing else of this clone has a say. The error, ErrIncomplete, names files that it cannot check out here.
func convert(ctx context.Context, list []toConvert, use func(f toConvert, name string) error) error {
	repos := map[*Repo][]toConvert{}
	for _, f := range list {
		repos[f.repo] = append(repos[f.repo], f)
	}
	var errs []error
	for _, repo := range slices.SortedFunc(maps.Keys(repos), func(a, b *Repo) int { return strings.Compare(a.top, b.top) }) {
		errs = append(errs, repo.convert(ctx, repos[repo], use))
	}
	return errors.Join(errs...)
}

func (r *Repo) convert(ctx context.Context, list []toConvert, use func(f toConvert, name string) error) (err error) {
	drivers, err := r.filterDrivers(ctx, list)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "imgops-checkout-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := &gitCheckout{repo: r, dir: dir, list: list}
	if err := c.prepare(drivers); err != nil {
		return fmt.Errorf("preparing to check out %s: %w", c.names(), err)
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	for _, f := range list {
		if err := use(f, filepath.Join(dir, "out", filepath.FromSlash(f.path))); err != nil {
			return err
		}
	}
	return nil
}

// filterDrivers gives the settings under which Git stops where a filter does not work; the error says which filters
// that files need are not set up here.
func (r *Repo) filterDrivers(ctx context.Context, list []toConvert) (pairs [][2]string, err error) {
	wanted := map[string][]string{}
	for _, f := range list {
		if f.as.filter != "" {
			wanted[f.as.filter] = append(wanted[f.as.filter], Printable(f.at))
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	out, err := r.gitBinary(ctx, nil, "config", "-z", "--get-regexp", `^filter\.`)
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: there is none
		return nil, fmt.Errorf("asking Git for its filters: %w", err)
	}
	set := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		key, value, _ := strings.Cut(pair, "\n")
		set[key] = value
		pairs = append(pairs, [2]string{key, value})
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		key := "filter." + name + "."
		_, cleans := set[key+"clean"]
		smudges := set[key+"smudge"] != "" || set[key+"process"] != ""
		switch {
		case smudges:
			pairs = append(pairs, [2]string{key + "required", "true"})
		case !cleans: // one that only cleans gives files as they are stored
			errs = append(errs, fmt.Errorf("%w: .gitattributes says that %s passed through the filter %s, which is not set up here; %s", ErrIncomplete, isAre(wanted[name]), Printable(name), filterAdvice(name)))
		}
	}
	return pairs, errors.Join(errs...)
}

// isAre names some files, and goes on with "is" or "are".
func isAre(files []string) string {
	const most = 3
	switch n := len(files); {
	case n == 1:
		return files[0] + " is"
	case n <= most:
		return strings.Join(files, ", ") + " are"
	default:
		return fmt.Sprintf("%s and %d more are", strings.Join(files[:most], ", "), n-most)
	}
}

func filterAdvice(name string) string {
	if strings.HasPrefix(name, "git-crypt") {
		return "run `git-crypt unlock`"
	}
	key := shellWord("filter." + Printable(name) + ".smudge")
	return "run `git config " + key + " COMMAND` with the command that decodes such files, or with `cat` if images are to get them as they are stored"
}

// gitCheckout is a run of git checkout-index.
type gitCheckout struct {
	repo *Repo
	dir  string // temporary
	list []toConvert
	env  []string
}

// names tells the files, for messages.
func (c *gitCheckout) names() string {
	var names []string
	for _, f := range c.list {
		names = append(names, Printable(f.at))
	}
	text := isAre(names)
	return text[:strings.LastIndexByte(text, ' ')]
}

// prepare makes what Git takes for the repository's common directory: the real one, but for the attributes in it, which count
// more than all others and say of every file all that matters.
func (c *gitCheckout) prepare(pairs [][2]string) error {
	real, common := commonDir(c.repo.gitDir), filepath.Join(c.dir, "git")
	if err := os.MkdirAll(filepath.Join(common, "info"), 0o700); err != nil {
		return err
	}
	real, err := filepath.Abs(real)
	if err != nil {
		return err
	}
	there, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	for _, e := range there {
		if e.Name() == "info" {
			continue
		}
		if err := os.Symlink(filepath.Join(real, e.Name()), filepath.Join(common, e.Name())); err != nil {
			return err
		}
	}
	var attributes bytes.Buffer
	for _, f := range c.list {
		line := cQuoted("/"+quoteGlob(f.path)) + " " + f.as.inFull() + "\n"
		if len(line) > attributeLineMax {
			return fmt.Errorf("%s: the path is too long for a file of attributes; shorten it", Printable(f.at))
		}
		attributes.WriteString(line)
	}
	c.environment(common, pairs)
	return os.WriteFile(filepath.Join(common, "info", "attributes"), attributes.Bytes(), 0o600)
}

// inFull says all of a conversion, also what is not done.
func (c conversion) inFull() string {
	words := []string{"-text", "!eol", "!crlf", "-ident", "!working-tree-encoding", "-filter"}
	if c.ends != "" {
		words[0], words[1] = "text", "eol=crlf"
		if strings.HasPrefix(c.ends, "text=auto") {
			words[0] = "text=auto"
		}
	}
	if c.ident {
		words[3] = "ident"
	}
	if c.encoding != "" {
		words[4] = "working-tree-encoding=" + c.encoding
	}
	if c.filter != "" {
		words[5] = "filter=" + c.filter
	}
	return strings.Join(words, " ")
}

// environment has Git run on its own index, with the settings that decide what a checkout gives as on a system whose lines
// end with LF. The filters run where a checkout runs them: at the top of the working tree.
func (c *gitCheckout) environment(common string, pairs [][2]string) {
	place := map[string]string{"GIT_DIR": c.repo.gitDir, "GIT_COMMON_DIR": common, "GIT_WORK_TREE": c.top(), "GIT_INDEX_FILE": filepath.Join(c.dir, "index"), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
	for _, name := range []string{"GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_ATTR_SOURCE", "GIT_LITERAL_PATHSPECS", "GIT_CONFIG_COUNT"} {
		place[name] = ""
	}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !containsKey(place, name) {
			c.env = append(c.env, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(place)) {
		if place[name] != "" {
			c.env = append(c.env, name+"="+place[name])
		}
	}
	pairs = append(slices.Clone(pairs), [][2]string{
		{"core.autocrlf", "false"}, {"core.eol", "lf"}, {"core.hooksPath", os.DevNull}, {"core.splitIndex", "false"}, {"core.fsmonitor", "false"}, {"core.untrackedCache", "false"}, {"index.sparse", "false"}, {"checkout.workers", "1"},
	}...)
	before, err := strconv.Atoi(os.Getenv("GIT_CONFIG_COUNT"))
	if err != nil {
		before = 0
	}
	for i, pair := range pairs {
		n := strconv.Itoa(before + i)
		c.env = append(c.env, "GIT_CONFIG_KEY_"+n+"="+pair[0], "GIT_CONFIG_VALUE_"+n+"="+pair[1])
	}
	c.env = append(c.env, "GIT_CONFIG_COUNT="+strconv.Itoa(before+len(pairs)))
}

func containsKey(m map[string]string, key string) bool { _, ok := m[key]; return ok }

// top is where Git runs; a bare repository has no place for it.
func (c *gitCheckout) top() string {
	if c.repo.bare {
		return c.dir
	}
	return c.repo.top
}

func (c *gitCheckout) run(ctx context.Context) error {
	var index bytes.Buffer
	for _, f := range c.list {
		fmt.Fprintf(&index, "100644 %s\t%s\x00", f.id, f.path)
	}
	if _, err := c.git(ctx, &index, "update-index", "-z", "--index-info"); err != nil {
		return fmt.Errorf("preparing to check out %s: %w", c.names(), err)
	}
	said, err := c.git(ctx, nil, "checkout-index", "--all", "--force", "--quiet", "--prefix="+filepath.Join(c.dir, "out")+"/")
	if err == nil && strings.Contains(said, "error: failed to encode '") { // Git goes on with the file as it is stored
		err = errors.New(oneLine(said))
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: Git cannot check out %s as .gitattributes says (%w); make `git checkout` of it work here, then run the command again", ErrIncomplete, c.names(), err)
	}
	return err
}

// git runs the binary and gives what it says of errors.
func (c *gitCheckout) git(ctx context.Context, in io.Reader, args ...string) (said string, err error) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = c.top(), c.env, in, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, oneLine(errs.String()))
	}
	return errs.String(), nil
}

func oneLine(text string) string { return Printable(strings.Join(strings.Fields(text), " ")) }
