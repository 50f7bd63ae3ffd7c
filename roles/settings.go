package roles

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/config"
)

// settings are Git's of one section for this repository, by key in lower case: of the system, the user, the
// repository, the working tree and the environment, of which the later ones count more, each with the files that it
// includes (git-config(1), FILES and INCLUDES).
type settings map[string]string

// settings reads those of the section "core"; local is what the repository's own file says.
func (r *Repo) settings(local *config.Config) settings { return r.section("core", local) }

func (r *Repo) section(name string, local *config.Config) settings {
	s := &settingsReader{repo: r, section: name, local: local.Raw, values: settings{}}
	for _, file := range slices.Backward(userSettings()) {
		s.file(file, 0)
	}
	if local.Raw.HasSection("include") || local.Raw.HasSection("includeIf") {
		s.file(filepath.Join(commonDir(r.gitDir), "config"), 0)
	} else {
		s.take(local.Raw)
	}
	if name := filepath.Join(r.gitDir, "config.worktree"); exists(name) && r.hasWorktreeSettings() {
		s.file(name, 0)
	}
	s.environment()
	return s.values
}

// hasWorktreeSettings says whether Git reads the working tree's own file. The extension is hidden from go-git.
func (r *Repo) hasWorktreeSettings() bool {
	storage, ok := r.git.Storer.(lenientStorage)
	if !ok {
		return true
	}
	c, err := storage.Storage.Config()
	if err != nil {
		return false
	}
	on, known := gitBool(c.Raw.Section("extensions").Option("worktreeConfig"))
	return on && known
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// userSettings are the files of the user and the system, the strongest first.
func userSettings() []string {
	var files []string
	if file, ok := os.LookupEnv("GIT_CONFIG_GLOBAL"); ok {
		files = append(files, file)
	} else {
		home, _ := os.UserHomeDir()
		files = append(files, filepath.Join(home, ".gitconfig"), filepath.Join(userConfigDir(), "git", "config"))
	}
	if off, known := gitBool(os.Getenv("GIT_CONFIG_NOSYSTEM")); known && off {
		return files
	}
	if file, ok := os.LookupEnv("GIT_CONFIG_SYSTEM"); ok {
		return append(files, file)
	}
	return append(files, "/etc/gitconfig")
}

// userConfigDir is $XDG_CONFIG_HOME, or what stands for it.
func userConfigDir() string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".config")
}

// on says whether a setting that is on by default is on.
func (s settings) on(key string) bool {
	value := s[key]
	if value == "" { // a key without a value is on
		return true
	}
	on, known := gitBool(value)
	return on || !known
}

// yes says whether a setting that is off by default is on.
func (s settings) yes(key string) bool {
	value, there := s[key]
	on, _ := gitBool(value)
	return there && (on || value == "")
}

// gitBool reads a boolean as Git does (git-config(1), VALUES); known is false for what is none.
func gitBool(value string) (on, known bool) {
	switch strings.ToLower(value) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	digits := value
	if n := len(digits); n > 1 && strings.ContainsRune("kKmMgG", rune(digits[n-1])) {
		digits = digits[:n-1]
	}
	n, err := strconv.ParseInt(digits, 0, 64)
	return n != 0, err == nil
}
