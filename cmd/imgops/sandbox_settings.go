package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/pflag"
)

// sandboxSettings is what a sandbox runs with, as the flags of up: their names and values. A flag that does nothing is not
// in it. The server keeps it in settings.json, so that a sandbox that was taken down or killed comes back as it was.
type sandboxSettings map[string][]string

// settingFlags are the flags of up that are kept, each with the value by which it does nothing.
var settingFlags = map[string]string{
	"machines": "auto", "port": "0", "mirror": "", "organization": "none",
	"latency": "none", "consistency": "none", "throttle": "none", "fault": "none", "seed": "1",
}

// fixedWhileRunning are those that a server that runs could not take up without being noticed.
var fixedWhileRunning = []string{"latency", "consistency", "throttle", "fault", "seed", "organization"}

func givenFlags(f *pflag.FlagSet, names []string) bool {
	return slices.ContainsFunc(names, f.Changed)
}

// settingsOf are those that flags have, given or remembered.
func settingsOf(f *pflag.FlagSet) sandboxSettings {
	s := sandboxSettings{}
	for name, nothing := range settingFlags {
		flag := f.Lookup(name)
		values := []string{flag.Value.String()}
		if many, ok := flag.Value.(pflag.SliceValue); ok {
			values = many.GetSlice()
		}
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" || v == nothing })
		if len(values) > 0 {
			s[name] = values
		}
	}
	return s
}

// put gives the flags that were not given the values of s, and takes "none" out of those that were. kept is what came from s.
func (s sandboxSettings) put(f *pflag.FlagSet) (kept sandboxSettings, err error) {
	kept = sandboxSettings{}
	for name := range settingFlags {
		if values, known := s[name]; known && !f.Changed(name) {
			for _, v := range values {
				err = errors.Join(err, f.Set(name, v))
			}
			kept[name] = values
		}
	}
	now := settingsOf(f)
	for name, nothing := range settingFlags {
		flag := f.Lookup(name)
		many, ok := flag.Value.(pflag.SliceValue)
		switch {
		case ok:
			err = errors.Join(err, many.Replace(now[name]))
		case nothing == "none" && flag.Value.String() == nothing:
			err = errors.Join(err, flag.Value.Set(""))
		}
	}
	return kept, err
}

// args are flags that say all of it, also what is not set, so that the server that they start has nothing to remember.
func (s sandboxSettings) args() (out []string) {
	for _, name := range slices.Sorted(maps.Keys(settingFlags)) {
		values := s[name]
		if len(values) == 0 {
			values = []string{settingFlags[name]}
		}
		for _, v := range values {
			out = append(out, "--"+name, v)
		}
	}
	return out
}

// String is the flags that set something, as one writes them.
func (s sandboxSettings) String() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		for _, v := range s[name] {
			out = append(out, "--"+name+" "+v)
		}
	}
	return strings.Join(out, " ")
}

// machineless says of settings that were kept whether the sandbox's images have disks.
func (s sandboxSettings) machineless() bool { return slices.Equal(s["machines"], []string{"none"}) }

// settings are what the last server ran with; nil when there was none. A server before there were settings has left its driver.
func (h *sandboxHome) settings() (sandboxSettings, error) {
	data, err := os.ReadFile(h.path("settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		if r, err := h.record(); err == nil && r.Driver != "" {
			return sandboxSettings{"machines": {r.Driver}}, nil
		}
		return nil, nil
	}
	var s sandboxSettings
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what sandbox %s ran with (remove %s and give the flags again): %w", h.name, h.path("settings.json"), err)
	}
	return s, nil
}

func (h *sandboxHome) keepSettings(s sandboxSettings) error {
	data, err := json.Marshal(s)
	if err == nil {
		err = renameio.WriteFile(h.path("settings.json"), data, 0o600, renameio.WithTempDir(h.dir))
	}
	if err != nil {
		return fmt.Errorf("noting what sandbox %s runs with: %w", h.name, err)
	}
	return nil
}

// recall completes the flags by what the sandbox ran with before, and says so. It chooses the driver, too: images of a
// sandbox without machines have no disks, and beside them base images that have some would be other ones.
func (a *app) recall(h *sandboxHome, o *sandboxOptions) (driver string, err error) {
	before, err := h.settings()
	if err != nil {
		return "", err
	}
	kept, err := before.put(o.flags)
	if err != nil {
		return "", &usageError{err: fmt.Errorf("what sandbox %s ran with before (%s): %w", h.name, h.path("settings.json"), err)}
	}
	if _, _, err := o.parse(); err != nil {
		return "", err
	}
	if driver, err = hostProber.choose(o.machines); err != nil {
		return "", err
	}
	if before != nil && before.machineless() != (driver == "none") {
		return "", fmt.Errorf("sandbox %s was made with --machines %s, and its images are not for --machines %s; first delete all that is in it: imgops sandbox reset%s (or take another --name)",
			h.name, strings.Join(before["machines"], " "), driver, h.flag())
	}
	if len(kept) > 0 {
		fmt.Fprintf(a.Stderr, "as before: %s (a flag replaces its setting, reset forgets all)\n", kept)
	}
	return driver, nil
}
