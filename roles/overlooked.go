package roles

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// neverIgnored says why a pattern of `ignore` that Git would understand matches nothing here.
func neverIgnored(pattern string) (message, fix string) {
	parts := strings.Split(pattern, "/")
	switch {
	case strings.HasPrefix(pattern, "!"):
		return "takes nothing back: what no pattern names counts anyway", "name what is to be ignored, and nothing else"
	case slices.Contains(parts, "**"):
		return "has a ** which stands for no directories here", fmt.Sprintf("write %q: a name without a slash is ignored in every directory of the role", parts[len(parts)-1])
	case parts[0] == "..":
		return "leads out of the role, whose own files alone can be ignored", "write a glob relative to the role's directory: README.md, docs, *.md"
	}
	return "", ""
}

// Overlooked tells of what looks like an image role and is none, each as a line to print: a symlink to one under roles/, and
// an image.yaml that is deeper than roles/<role>/.
func (f *Fleet) Overlooked() ([]string, error) {
	dir, ok, err := f.view.root.lookup("roles")
	if err != nil || !ok || dir.sub == nil {
		return nil, err
	}
	entries, err := dir.sub.list()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		at := "roles/" + e.name
		switch {
		case e.mode == filemode.Symlink:
			line, err := f.linkedRole(at, e)
			if err != nil {
				return nil, err
			}
			found = append(found, line...)
		case e.sub != nil && f.byName[e.name] == nil:
			err := e.sub.walk(at, func(p string, e entry) error {
				if path.Base(p) == definitionFile && !e.isDir() {
					found = append(found, fmt.Sprintf("%s is not read: image roles lie directly under roles/; move %s to roles/%s if it is one",
						p, path.Dir(p), path.Base(path.Dir(p))))
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// linkedRole tells of a symlink that leads to an image role.
func (f *Fleet) linkedRole(at string, e entry) ([]string, error) {
	target, err := f.view.files.read(at, e.id)
	if err != nil {
		return nil, err
	}
	role := f.byName[path.Base(string(target))]
	if role == nil || path.Join("roles", string(target)) != "roles/"+role.Name {
		return nil, nil
	}
	return []string{fmt.Sprintf("%s is a symlink to image role %s, and no image role itself; give it a directory with an image.yaml, such as base: {role: %s}, or delete it if no playbook uses it",
		at, role.Name, role.Name)}, nil
}
