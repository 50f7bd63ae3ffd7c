package roles

import (
	"bytes"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// requirementNeedles are what a requirements file must hold to name something of the fleet: a Galaxy name has a dot only.
var requirementNeedles = needleList("/", "type", "include", "src", "source", ".tar", ".tgz", ",")

// requirements takes in what a requirements file names of the fleet: collections that are directories or archives, archives of
// roles, repositories, and further requirements files (ansible-galaxy runs at the fleet's root).
func (c *reacher) requirements(file string, depth int) {
	if c.all || c.err != nil || c.visited["requirements "+file] {
		return
	}
	if _, there, err := c.v.lookup(file); err != nil || !there {
		c.err = err
		return
	}
	c.visited["requirements "+file] = true
	data, ok := c.content(file)
	if !ok || !containsAny(data, requirementNeedles) {
		return
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || depth > 20 {
		c.all = true // ansible-galaxy will say what is wrong, if anything is
		return
	}
	c.required(file, "", &doc, depth)
}

// required visits everything that may be a path. key is that of the mapping which holds it.
func (c *reacher) required(file, key string, n *yaml.Node, depth int) {
	n = resolveAlias(n)
	for _, item := range n.Content {
		if n.Kind == yaml.SequenceNode || n.Kind == yaml.DocumentNode {
			c.required(file, key, item, depth)
		}
	}
	for key, value := range pairsOf(n) {
		c.required(file, key, value, depth)
	}
	if n.Kind != yaml.ScalarNode || key == "version" || c.all || c.err != nil {
		return
	}
	p := localSource(n.Value)
	if p == "" {
		return
	}
	for _, base := range []string{".", path.Dir(file)} {
		at := path.Join(base, p)
		if at == "." || at == ".." || strings.HasPrefix(at, "../") {
			c.all = c.all || at == "." // the fleet itself is a collection
			continue
		}
		_, _, to, err := c.v.resolve(at)
		switch {
		case err != nil:
			c.err = err
		case to != toEntry && to != toSubmodule:
			c.absent[at] = true
		case key == "include":
			c.requirements(at, depth+1)
		default:
			c.count(at)
		}
	}
}

// localSource gives the path in a source of a role or collection, without the ways in which Git and Galaxy dress it; "" where
// it is none.
func localSource(source string) string {
	source = strings.TrimSpace(source)
	for _, prefix := range []string{"git+", "hg+"} {
		source = strings.TrimPrefix(source, prefix)
	}
	source = strings.TrimPrefix(source, "file://")
	source, _, _ = strings.Cut(source, ",")
	source, _, _ = strings.Cut(source, "#")
	if source == "" || path.IsAbs(source) || strings.Contains(source, "://") || strings.HasPrefix(source, "git@") {
		return ""
	}
	return source
}

func containsAny(data []byte, words [][]byte) bool {
	for _, w := range words {
		if bytes.Contains(data, w) {
			return true
		}
	}
	return false
}
