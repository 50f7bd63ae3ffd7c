package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// fixed builds and verifies by answering at once; it records on which image each role was built.
type fixed struct {
	mu    sync.Mutex
	bases map[string]string
	fail  map[string]error
}

func (f *fixed) build(_ context.Context, r *roles.Role, base images.Image) (images.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bases[r.Name] = base.ID
	return images.Image{ID: "ami-new-" + r.Name}, f.fail["build "+r.Name]
}

func (f *fixed) verify(_ context.Context, r *roles.Role, img images.Image) (images.Image, error) {
	return img, f.fail["verify "+r.Name]
}

func decisions(actions map[string]string) map[string]images.Decision {
	m := map[string]images.Decision{}
	for role, action := range actions {
		d := images.Decision{Role: role, Action: action}
		if action != images.ActionBuild {
			d.Candidate.ID = "ami-old-" + role
		}
		m[role] = d
	}
	return m
}

func TestRelease(t *testing.T) {
	base := &roles.Role{Name: "base"}
	web, db := &roles.Role{Name: "web", Parent: base}, &roles.Role{Name: "db", Parent: base}
	shop := &roles.Role{Name: "shop", Parent: web}
	list := []*roles.Role{base, db, web, shop}
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		actions map[string]string
		fail    map[string]error
		results []string // of base, db, web, shop
		bases   map[string]string
	}{
		"everything is new": {
			map[string]string{"base": "build", "db": "build", "web": "build", "shop": "build"}, nil,
			[]string{"verified", "verified", "verified", "verified"},
			map[string]string{"base": "ami-external", "db": "ami-new-base", "web": "ami-new-base", "shop": "ami-new-web"},
		},
		"a child is built on the parent's image that exists": {
			map[string]string{"base": "none", "db": "none", "web": "promote", "shop": "build"}, nil,
			[]string{"unchanged", "unchanged", "unchanged", "verified"}, map[string]string{"shop": "ami-old-web"},
		},
		"only the tests changed": {
			map[string]string{"base": "none", "db": "verify", "web": "none", "shop": "none"}, nil,
			[]string{"unchanged", "verified", "unchanged", "unchanged"}, map[string]string{},
		},
		"a failed build stops only descendants": {
			map[string]string{"base": "none", "db": "build", "web": "build", "shop": "build"}, map[string]error{"build web": boom},
			[]string{"unchanged", "verified", "failed", "skipped"}, map[string]string{"db": "ami-old-base", "web": "ami-old-base"},
		},
		"a failed verification stops descendants": {
			map[string]string{"base": "verify", "db": "build", "web": "build", "shop": "build"}, map[string]error{"verify base": boom},
			[]string{"failed", "skipped", "skipped", "skipped"}, map[string]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixed{bases: map[string]string{}, fail: c.fail}
			p := &pipeline{
				builder: f, verifier: f, parallel: 2, log: newProgress(io.Discard, true),
				base: func(context.Context, *roles.Role) (images.Image, error) { return images.Image{ID: "ami-external"}, nil },
			}
			outcomes, err := p.release(t.Context(), list, decisions(c.actions))
			if len(c.fail) > 0 {
				require.ErrorIs(t, err, boom)
			} else {
				require.NoError(t, err)
			}
			var results []string
			for _, o := range outcomes {
				results = append(results, o.Result)
			}
			require.Equal(t, c.results, results)
			require.Equal(t, c.bases, f.bases)
		})
	}
}
