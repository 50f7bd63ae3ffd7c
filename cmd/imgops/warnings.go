package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// baseWarnings looks at the external bases that the roles start from in the end, with one call for all of them: bases
// that are gone, deprecated, or older than max_base_age are told on standard error, and returned by role.
func (s *session) baseWarnings(ctx context.Context, list []*roles.Role) (map[string][]string, error) {
	idOf, byBase := map[*roles.Role]string{}, map[string][]*roles.Role{} // by image id
	for _, r := range list {
		root := rootOf(r)
		if idOf[root] == "" {
			id, err := s.externalID(root)
			if err != nil {
				return nil, err
			}
			idOf[root] = id
		}
		byBase[idOf[root]] = append(byBase[idOf[root]], r)
	}
	ids := slices.Sorted(maps.Keys(byBase))
	found, err := s.cat.Get(ctx, ids...)
	if err != nil {
		return nil, err
	}
	warnings := map[string][]string{}
	for _, id := range ids {
		img, known := found[id]
		what := images.BaseWarning(img, known, time.Now(), time.Duration(s.fleet.Config.MaxBaseAge))
		if what == "" {
			continue
		}
		text := fmt.Sprintf("base image %s %s; %s", strings.TrimSpace(id+" "+img.Name), what, s.newerBase(byBase[id]))
		for _, r := range byBase[id] {
			warnings[r.Name] = append(warnings[r.Name], text)
		}
		fmt.Fprintf(s.Stderr, "warning: %s (%s)\n", text, names(byBase[id]))
	}
	return warnings, nil
}

// warnFiles tells of what may be a mistake in the files of roles.
func (a *app) warnFiles(f *roles.Fleet, list []*roles.Role) {
	const most = 5
	found := f.Warnings(list)
	for i, w := range found {
		if i == most {
			fmt.Fprintf(a.Stderr, "warning: and %d more symlinks like these\n", len(found)-most)
			return
		}
		fmt.Fprintf(a.Stderr, "warning: %v\n", w)
	}
}

// newerBase says how the roles get another base.
func (s *session) newerBase(list []*roles.Role) string {
	root := rootOf(list[0])
	if root.Base.Image != "" {
		return "name another image in " + root.File
	}
	return "run: imgops update " + root.Name
}

// rootOf is the role that starts from the external base.
func rootOf(r *roles.Role) *roles.Role {
	for r.Parent != nil {
		r = r.Parent
	}
	return r
}

// names lists roles for a line of text, the first few of many.
func names(list []*roles.Role) string {
	const most = 5
	var out []string
	for _, r := range list[:min(len(list), most)] {
		out = append(out, r.Name)
	}
	if more := len(list) - most; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
