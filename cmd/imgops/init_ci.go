package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/imgops/imgops/roles"
)

// pipelineFiles has a directory per CI system, with templates of the files that it reads, at their places in a
// repository. A part of a path that begins with "dot." begins with a dot there.
//
//go:embed all:pipelines
var pipelineFiles embed.FS

const imgopsPackage = "github.com/imgops/imgops/cmd/imgops"

// The forms of what goes into pipeline files without quotes.
var (
	plainBranch = lazy(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	plainImage  = lazy(`^[A-Za-z0-9][A-Za-z0-9._/:@-]*$`)
	plainPath   = lazy(`^[A-Za-z0-9._/-]+$`)
	releaseForm = lazy(`^v[0-9]+\.[0-9]+\.[0-9]+$`)
)

// pipelineValues is what the templates are filled with.
type pipelineValues struct {
	Fleet, Main, Region, Account string
	Image                        string // a container image with imgops in it; "" to install imgops with Go
	Package                      string // for go install
	Imgops                       string // the command, with -C where the fleet is not at the repository's top
	State, Lock                  string // .imgops and imgops.lock, as seen from the top
}

// MainYAML is the main branch for places where YAML could read something else than a string.
func (v pipelineValues) MainYAML() string {
	b, err := yaml.Marshal(v.Main)
	if err != nil {
		return v.Main
	}
	return strings.TrimSpace(string(b))
}

// ciSystems lists the systems that there are pipeline files for.
func ciSystems() []string {
	var names []string
	entries, _ := pipelineFiles.ReadDir("pipelines") // an embedded directory can be read
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// pipelineContent makes the pipeline files of a CI system for the fleet in dir, and says which directory they belong
// into: the repository's top, which can be above the fleet.
func pipelineContent(system, image, dir string, files []fleetFile) (string, []fleetFile, error) {
	if systems := ciSystems(); !slices.Contains(systems, system) {
		return "", nil, &usageError{err: fmt.Errorf("unknown CI system %q; it is one of %s", system, strings.Join(systems, ", "))}
	}
	if system == "travis" && image != "" {
		return "", nil, &usageError{err: errors.New("jobs of Travis CI run on its machines, not in containers: leave --ci-image out")}
	}
	top := repositoryTop(dir)
	values, err := readPipelineValues(dir, files)
	if err != nil {
		return "", nil, err
	}
	values.Image = image
	sub, err := filepath.Rel(top, dir)
	if err != nil {
		return "", nil, fmt.Errorf("finding %s below %s: %w", dir, top, err)
	}
	if sub = filepath.ToSlash(sub); sub != "." {
		values.Imgops += " -C " + sub
		values.State, values.Lock = sub+"/"+values.State, sub+"/"+values.Lock
	}
	if err := values.check(sub); err != nil {
		return "", nil, err
	}
	list, err := renderPipeline(system, values)
	return top, list, err
}

// check refuses what would have to be quoted differently in each place of a pipeline file.
func (v pipelineValues) check(sub string) error {
	var wrong []string
	if !plainBranch().MatchString(v.Main) {
		wrong = append(wrong, fmt.Sprintf("main branch %q", v.Main))
	}
	if v.Image != "" && !plainImage().MatchString(v.Image) {
		wrong = append(wrong, fmt.Sprintf("container image %q", v.Image))
	}
	if !plainPath().MatchString(sub) {
		wrong = append(wrong, fmt.Sprintf("directory %q", sub))
	}
	if len(wrong) > 0 {
		return &usageError{err: fmt.Errorf("%s: only letters, digits, dots, dashes, underscores and slashes can be put into a pipeline file; "+
			"write it by hand, from one made with another name", strings.Join(wrong, ", "))}
	}
	return nil
}

// repositoryTop is the directory above dir, or dir, that holds .git; dir when there is none yet.
func repositoryTop(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Lstat(filepath.Join(d, ".git")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}

// readPipelineValues takes what a pipeline has to know from imgops.yaml: the one that is there, or that is about to be
// written. It is not loaded as a fleet, because nothing of it has to be committed yet; what is wrong with it is for
// imgops validate to say.
func readPipelineValues(dir string, files []fleetFile) (pipelineValues, error) {
	v := pipelineValues{Imgops: "imgops", State: ".imgops", Lock: "imgops.lock", Package: imgopsPackage + "@latest"}
	if releaseForm().MatchString(version()) {
		v.Package = imgopsPackage + "@" + version()
	}
	var data []byte
	for _, f := range files {
		if f.path == "imgops.yaml" {
			data = f.data
		}
	}
	if data == nil {
		var err error
		if data, err = os.ReadFile(filepath.Join(dir, "imgops.yaml")); err != nil {
			return v, fmt.Errorf("reading the fleet: %w", err)
		}
	}
	var conf struct {
		Fleet string `yaml:"fleet"`
		Main  string `yaml:"main"`
		Build struct {
			Account string `yaml:"account"`
			Region  string `yaml:"region"`
		} `yaml:"build"`
	}
	if err := yaml.Unmarshal(data, &conf); err != nil || conf.Build.Region == "" || !plainBranch().MatchString(conf.Fleet) {
		return v, &usageError{err: errors.Join(errors.New("imgops.yaml does not say the fleet and build.region; correct it first: imgops validate"), err)}
	}
	v.Fleet, v.Main, v.Account, v.Region = conf.Fleet, conf.Main, conf.Build.Account, conf.Build.Region
	if v.Main == "" {
		v.Main = roles.DefaultMain
	}
	return v, nil
}

// renderPipeline fills the templates of a system's files; what one defines the others can use.
func renderPipeline(system string, values pipelineValues) ([]fleetFile, error) {
	root := path.Join("pipelines", system)
	set := template.New(system).Delims("{%", "%}").Option("missingkey=error")
	var paths []string
	err := fs.WalkDir(pipelineFiles, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := pipelineFiles.ReadFile(p)
		if err != nil {
			return err
		}
		paths = append(paths, p)
		_, err = set.New(p).Parse(string(text))
		return err
	})
	var list []fleetFile
	for _, p := range paths {
		var b bytes.Buffer
		if err == nil {
			err = set.ExecuteTemplate(&b, p, values)
		}
		data := append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
		list = append(list, fleetFile{path: dotted(strings.TrimPrefix(p, root+"/")), data: data, mode: 0o644})
	}
	if err != nil {
		return nil, fmt.Errorf("making the pipeline files for %s: %w", system, err)
	}
	return list, nil
}

// dotted is a template's path in a repository.
func dotted(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, "dot."); ok {
			parts[i] = "." + name
		}
	}
	return strings.Join(parts, "/")
}
