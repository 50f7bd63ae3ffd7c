package main

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/roles"
)

// bench builds and verifies roles without machines, and keeps what it was asked for.
type bench struct {
	built, verified map[string]string // role -> the image it started from, or the image
	broken          string
}

func (b *bench) build(_ context.Context, r *roles.Role, base images.Image) (images.Image, error) {
	if r.Name == b.broken {
		return images.Image{}, errors.New("it broke")
	}
	b.built[r.Name] = base.ID
	return images.Image{ID: "ami-" + r.Name}, nil
}

func (b *bench) verify(_ context.Context, r *roles.Role, img images.Image) (images.Image, error) {
	b.verified[r.Name] = img.ID
	return img, nil
}

// A job of a level takes its roles' parents as they are found, and touches nothing else; roles whose parents are not
// ready, or that break, do not hold up the others.
func TestReleaseLevel(t *testing.T) {
	root := &roles.Role{Name: "root", Digest: "sha256:r"}
	role := func(name string, parent *roles.Role) *roles.Role {
		return &roles.Role{Name: name, Parent: parent, Digest: "sha256:" + name}
	}
	base, late := role("base", root), role("late", root)
	web, api, tested, orphan := role("web", base), role("api", base), role("tested", base), role("orphan", late)
	decisions := map[string]images.Decision{
		"root":   {Action: images.ActionBuild}, // its image is gone, but nobody here starts from it
		"base":   {Action: images.ActionPromote, Candidate: images.Image{ID: "ami-found"}},
		"late":   {Action: images.ActionBuild},
		"web":    {Action: images.ActionBuild},
		"api":    {Action: images.ActionBuild},
		"tested": {Action: images.ActionVerify, Candidate: images.Image{ID: "ami-tested"}},
		"orphan": {Action: images.ActionBuild},
	}
	b := &bench{built: map[string]string{}, verified: map[string]string{}, broken: "api"}
	p := &pipeline{builder: b, verifier: b, parallel: 1, log: newProgress(io.Discard, true)}
	outcomes, err := (&ciJob{}).releaseLevel(t.Context(), p, []*roles.Role{web, api, tested, orphan}, decisions)
	require.ErrorContains(t, err, "role orphan: its parent late has no image")
	require.ErrorContains(t, err, "role api: it broke")
	results := map[string]string{}
	for _, o := range outcomes {
		results[o.Role] = o.Result
	}
	require.Equal(t, map[string]string{"web": "verified", "api": "failed", "tested": "verified", "orphan": "failed"}, results)
	require.Equal(t, map[string]string{"web": "ami-found"}, b.built)
	require.Equal(t, map[string]string{"web": "ami-web", "tested": "ami-tested"}, b.verified)
}
