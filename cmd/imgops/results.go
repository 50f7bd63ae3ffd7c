package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/promoter"
	"github.com/imgops/imgops/roles"
)

// results collects the outcomes of a run, in the order of its roles.
type results struct {
	mu    sync.Mutex
	list  []outcome
	index map[string]int
}

func newResults(list []*roles.Role, decisions map[string]images.Decision) *results {
	r := &results{index: map[string]int{}}
	for i, role := range list {
		d := decisions[role.Name]
		r.index[role.Name] = i
		r.list = append(r.list, outcome{Role: role.Name, Digest: role.Digest, image: d.Candidate, Image: d.Candidate.ID, decision: d})
	}
	return r
}

func (r *results) set(role string, img images.Image, result string, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := &r.list[r.index[role]]
	o.image, o.Image, o.Result, o.Seconds = img, img.ID, result, int(took.Seconds())
}

func (r *results) built(role string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list[r.index[role]].Built = true
}

func (r *results) image(role string) images.Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.index[role]; ok {
		return r.list[i].image
	}
	return images.Image{}
}

func (r *results) fail(i int, w roles.Outcome) {
	if w.Err == nil {
		return
	}
	r.list[i].fail(w.Err)
}

// fail notes why a role went no further.
func (o *outcome) fail(err error) {
	o.err, o.Error, o.Result = err, err.Error(), "failed"
	var refused *promoter.RefusedError
	switch {
	case skipped(err):
		o.Result = "skipped"
	case errors.As(err, &refused):
		o.Result = "refused"
	}
}

func skipped(err error) bool {
	var s *roles.SkippedError
	return errors.As(err, &s)
}

// outcomeTable shows outcomes to people. Errors are told on standard error, whole.
func outcomeTable(list []outcome) table {
	t := table{Header: []string{"ROLE", "DIGEST", "RESULT", "IMAGE", "TIME"}}
	for _, o := range list {
		took := ""
		if o.Seconds > 0 {
			took = fmt.Sprintf("%ds", o.Seconds)
		}
		t.add(o.Role, short(o.Digest), o.Result, o.Image, took)
	}
	return t
}

func index(list []*roles.Role, name string) int {
	for i, r := range list {
		if r.Name == name {
			return i
		}
	}
	return -1
}
