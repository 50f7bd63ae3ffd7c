package roles

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/config"
)

// settings are Git's for this repository, the strongest first: of the working tree, the repository, the user, the system
// (git-config(1), FILES). Files that those include are not read.
type settings []*config.Config

func (r *Repo) settings(local *config.Config) settings {
	list := settings{local}
	add := func(file string) bool {
		data, err := os.ReadFile(file)
		if err != nil {
			return false // Git goes on without files that it cannot read, too
		}
		c := config.NewConfig()
		if c.Unmarshal(data) != nil {
			return false
		}
		list = append(list, c)
		return true
	}
	if add(filepath.Join(r.gitDir, "config.worktree")) {
		slices.Reverse(list)
	}
	for _, file := range userSettings() {
		add(file)
	}
	return list
}

// userSettings are the files of the user and the system.
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

// core gives a setting of the section "core"; ok is false where it is set nowhere.
func (s settings) core(key string) (value string, ok bool) {
	for _, c := range s {
		if section := c.Raw.Section("core"); section.HasOption(key) {
			return section.Option(key), true
		}
	}
	return "", false
}

// on says whether a setting of the section "core" that is on by default is on.
func (s settings) on(key string) bool {
	value, ok := s.core(key)
	if !ok || value == "" { // a key without a value is on
		return true
	}
	on, known := gitBool(value)
	return on || !known
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
