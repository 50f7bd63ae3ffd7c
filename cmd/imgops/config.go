package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"github.com/imgops/imgops/roles"
)

// app is one run of imgops: its world, its settings and what it has opened.
type app struct {
	world
	set   settings
	log   *progress
	calls callCounter

	runOnce    sync.Once
	runID      string // see run
	repo       *roles.Repo
	probe      sync.Once
	sandboxE   *sandboxEndpoint // nil on AWS
	sandboxErr error

	// workers gives who builds and verifies, where that is not the builder and the verifier: in a cloud without machines.
	workers func(*session) (imageBuilder, imageVerifier)
}

// settings are the global settings, resolved as flag > IMGOPS_* > the settings section of imgops.yaml > default.
type settings struct {
	Dir      string
	Output   string
	Quiet    bool
	NoColor  bool
	Debug    bool
	Parallel int
	Sandbox  string
	Run      string
}

func (a *app) addGlobalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringP("dir", "C", ".", "the fleet's `directory`")
	f.String("config", "", "a `file` of settings (default: the settings section of the fleet's imgops.yaml)")
	f.StringP("output", "o", "table", "output `format` of results: table, json or yaml")
	f.BoolP("quiet", "q", false, "no progress on standard error")
	f.Bool("no-color", false, "no colours")
	f.Bool("debug", false, "say more on standard error, and count the API calls")
	f.Int("parallel", 4, "how many roles are worked on at once")
	f.String("sandbox", "", "talk to the running sandbox of this `name` instead of AWS; a name needs the =: --sandbox=name")
	f.Lookup("sandbox").NoOptDefVal = "default"
}

// configure resolves the settings before any command runs.
func (a *app) configure(c *cobra.Command) error {
	v := viper.New()
	v.SetEnvPrefix("IMGOPS")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	if err := v.BindPFlags(c.Root().PersistentFlags()); err != nil {
		return fmt.Errorf("binding flags: %w", err)
	}
	for _, key := range []string{"dir", "config", "output", "quiet", "no-color", "debug", "parallel", "sandbox", "run"} {
		if value := a.Getenv("IMGOPS_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))); value != "" {
			if f := c.Root().PersistentFlags().Lookup(key); f == nil || !f.Changed {
				v.Set(key, value)
			}
		}
	}
	if out := v.GetString("output"); !known(out) {
		return usagef(c, "unknown output format %q; it is one of table, json, yaml", out)
	}
	if n, err := strconv.Atoi(v.GetString("parallel")); err != nil || n < 1 {
		return usagef(c, "--parallel or IMGOPS_PARALLEL is %q; it has to be a whole number of at least 1", v.GetString("parallel"))
	}
	if err := readSettings(v, v.GetString("config"), v.GetString("dir")); err != nil {
		return err
	}
	a.set = settings{
		Dir: v.GetString("dir"), Output: v.GetString("output"), Quiet: v.GetBool("quiet"), Debug: v.GetBool("debug"),
		NoColor: v.GetBool("no-color") || a.Getenv("NO_COLOR") != "", Parallel: v.GetInt("parallel"),
		Sandbox: v.GetString("sandbox"), Run: v.GetString("run"),
	}
	// Where imgops.yaml is wrong about these, the loader tells it with line and column.
	if !known(a.set.Output) {
		a.set.Output = "table"
	}
	a.set.Parallel = max(a.set.Parallel, 1)
	a.log = newProgress(a.Stderr, a.set.Quiet)
	return nil
}

func known(output string) bool { return slices.Contains([]string{"table", "json", "yaml"}, output) }

// readSettings adds the settings section of imgops.yaml, or a settings file, below flags and environment. A fleet
// that cannot be parsed is reported by the command that loads it, with line and column, not here.
func readSettings(v *viper.Viper, file, dir string) error {
	y := viper.New()
	y.SetConfigType("yaml")
	if file != "" {
		y.SetConfigFile(file)
		if err := y.ReadInConfig(); err != nil {
			return &usageError{err: fmt.Errorf("reading the settings in %s: %w", file, err)}
		}
		if err := checkSettings(y, file); err != nil {
			return &usageError{err: err}
		}
	} else {
		path := filepath.Join(dir, "imgops.yaml")
		y.SetConfigFile(path)
		if err := y.ReadInConfig(); err == nil {
			y = y.Sub("settings")
		} else {
			y = nil
		}
		if y == nil {
			return nil
		}
	}
	return v.MergeConfigMap(y.AllSettings())
}

// checkSettings finds what is wrong in a file of settings, all of it. Those of imgops.yaml are checked with the fleet.
func checkSettings(y *viper.Viper, file string) error {
	allowed := []string{"debug", "no-color", "output", "parallel", "quiet"}
	var errs []error
	for _, key := range slices.Sorted(slices.Values(y.AllKeys())) {
		value, bad := y.GetString(key), ""
		switch key {
		case "output":
			if !known(value) {
				bad = "it is one of table, json, yaml"
			}
		case "parallel":
			if n, err := strconv.Atoi(value); err != nil || n < 1 {
				bad = "it has to be a whole number of at least 1"
			}
		case "debug", "no-color", "quiet":
			if _, err := strconv.ParseBool(value); err != nil {
				bad = "it is true or false"
			}
		default:
			bad = "there is no such setting; there are " + strings.Join(allowed, ", ")
		}
		if bad != "" {
			errs = append(errs, fmt.Errorf("%s: %s is %q: %s", file, key, value, bad))
		}
	}
	return errors.Join(errs...)
}

// checkDir refuses a -C that names no directory.
func (a *app) checkDir() error {
	if info, err := os.Stat(a.set.Dir); err != nil || !info.IsDir() {
		return &usageError{err: fmt.Errorf("%s is no directory; name the fleet's with -C", a.set.Dir)}
	}
	return nil
}

// openRepo opens the fleet's repository once.
func (a *app) openRepo(ctx context.Context) (*roles.Repo, error) {
	if a.repo == nil {
		if err := a.checkDir(); err != nil {
			return nil, err
		}
		repo, err := roles.OpenRepo(ctx, a.set.Dir)
		if err != nil {
			return nil, err
		}
		repo.AllowFetch(func(what string) { a.note("%s", what) })
		a.repo = repo
	}
	return a.repo, nil
}
