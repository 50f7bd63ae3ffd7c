package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/imgops/imgops/images"
	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
)

// fanJob is one role's job in a fan-out.
type fanJob struct {
	Role   string `json:"role"`
	Level  int    `json:"level"`
	Parent string `json:"parent,omitempty"` // whose job has to be done first; "" when the parent needs none
	Digest string `json:"digest"`
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// fanLevel is the jobs of one level: they need only jobs of lower ones.
type fanLevel struct {
	Level int      `json:"level"`
	Jobs  []fanJob `json:"roles"`
}

// fan is a fan-out, and how the jobs call imgops.
type fan struct {
	levels []fanLevel
	before []string   // the command with its global flags
	after  []string   // flags of ci that every job gets
	step   *yaml.Node // the mapping of what Buildkite's steps have in common; nil without

	interruptible bool // the CI system may end the jobs when there is a newer commit: not main's
}

// matrixFormats are the forms that --matrix can print.
func matrixFormats() map[string]func(fan) ([]byte, error) {
	return map[string]func(fan) ([]byte, error){
		"json": fan.json, "github": fan.github, "gitlab": fan.gitlab, "buildkite": fan.buildkite, "jenkins": fan.jenkins,
	}
}

func checkMatrix(c *cobra.Command, o *ciOptions) error {
	formats := matrixFormats()
	if o.matrix == "" || formats[o.matrix] != nil {
		return nil
	}
	return usagef(c, "unknown fan-out %q; it is one of %s", o.matrix, strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
}

// printMatrix prints the roles that need work as jobs of a CI system. It starts nothing.
func (j *ciJob) printMatrix(ctx context.Context) error {
	f := fan{before: []string{"imgops"}, after: j.passed(), interruptible: !j.promote}
	if dir := j.set.Dir; dir != "." {
		f.before = append(f.before, "-C", dir)
	}
	if j.idle == "" {
		jobs, err := j.needed(ctx)
		if err != nil {
			return err
		}
		f.levels = byLevel(jobs)
	}
	if j.matrix == "buildkite" {
		var err error
		if f.step, err = buildkiteCommon(repositoryTop(j.set.Dir)); err != nil {
			return err
		}
	}
	out, err := matrixFormats()[j.matrix](f)
	if err != nil {
		return err
	}
	_, err = j.Stdout.Write(out)
	return err
}

// passed are the flags that the jobs need in order to decide as this one does.
func (j *ciJob) passed() []string {
	var args []string
	if j.ciOptions.event != "" {
		args = append(args, "--event", j.ciOptions.event)
	}
	if j.base != "" {
		args = append(args, "--base", j.base)
	}
	if j.ciOptions.rewritten {
		args = append(args, "--rewritten-history")
	}
	if j.allowForks {
		args = append(args, "--allow-forks")
	}
	if j.summary != "" {
		args = append(args, "--summary", j.summary)
	}
	return args
}

// needed lists the roles for which there is something to do, parents first.
func (j *ciJob) needed(ctx context.Context) ([]fanJob, error) {
	if j.promote {
		if err := j.refuseOffMain(ctx); err != nil {
			return nil, err
		}
	}
	meant, err := j.selection(ctx)
	if err != nil {
		return nil, err
	}
	pool := roles.WithAncestors(meant)
	if j.level >= 0 {
		pool = meant
	}
	found, err := j.survey(ctx, pool)
	if err != nil {
		return nil, err
	}
	var jobs []fanJob
	has := map[string]bool{}
	for _, r := range pool {
		d := found.decisions[r.Name]
		if d.Rejected != "" || d.Blocked != nil {
			j.note("%s: %s", r.Name, d.Reason)
		}
		promote := j.promote && d.Action == images.ActionPromote && index(meant, r.Name) >= 0
		if d.Action != images.ActionBuild && d.Action != images.ActionVerify && !promote {
			continue
		}
		has[r.Name] = true
		job := fanJob{Role: r.Name, Level: level(r), Digest: r.Digest, Action: d.Action, Reason: d.Reason}
		if r.Parent != nil && has[r.Parent.Name] {
			job.Parent = r.Parent.Name
		}
		jobs = append(jobs, job)
	}
	if j.promote && len(jobs) > 0 {
		if err := j.requireMain(ctx, &found.view); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

func byLevel(jobs []fanJob) []fanLevel {
	var levels []fanLevel
	at := map[int]int{}
	for _, j := range jobs {
		i, ok := at[j.Level]
		if !ok {
			i = len(levels)
			at[j.Level] = i
			levels = append(levels, fanLevel{Level: j.Level})
		}
		levels[i].Jobs = append(levels[i].Jobs, j)
	}
	slices.SortFunc(levels, func(a, b fanLevel) int { return a.Level - b.Level })
	return levels
}

// groups puts roles of one level together where there are more jobs than limit: as few in each as will do.
func (f fan) groups(limit int) [][]fanJob {
	total := 0
	for _, l := range f.levels {
		total += len(l.Jobs)
	}
	per := 1
	if total > limit {
		room := max(1, limit-len(f.levels)) // a level's last group may be smaller than the others
		per = (total + room - 1) / room
	}
	var groups [][]fanJob
	for _, l := range f.levels {
		groups = slices.AppendSeq(groups, slices.Chunk(l.Jobs, per))
	}
	return groups
}

// command is the shell command of a job for a role, or for several with commas between.
func (f fan) command(role string, level int) string {
	words := append(slices.Clone(f.before), "ci", "--role", role, "--level", strconv.Itoa(level))
	return shellWords(append(words, f.after...))
}

// shellWords joins words for a POSIX shell, quoting those that need it.
func shellWords(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@,+") != "" {
			out[i] = machine.Quote(w)
		}
	}
	return strings.Join(out, " ")
}
