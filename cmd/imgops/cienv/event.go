package cienv

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// System is a CI system.
type System string

// The systems that Detect knows.
const (
	Jenkins    System = "jenkins"
	GitHub     System = "github"
	GitLab     System = "gitlab"
	Bitbucket  System = "bitbucket"
	CircleCI   System = "circleci"
	Travis     System = "travis"
	CodeBuild  System = "codebuild"
	Azure      System = "azure"
	Buildkite  System = "buildkite"
	TeamCity   System = "teamcity"
	Drone      System = "drone"
	Woodpecker System = "woodpecker"
)

// Kind is what a job runs for.
type Kind string

// The kinds of events.
const (
	// PullRequest is also called merge request.
	PullRequest Kind = "pull-request"
	// MergeQueue is a pull request that waits for its turn (GitHub's merge queue, GitLab's merge train): its commit is
	// main as it would be, and not main yet.
	MergeQueue Kind = "merge-queue"
	Push       Kind = "push"
	Tag        Kind = "tag"
	Schedule   Kind = "schedule"
	// Manual was started by a person or through an API.
	Manual Kind = "manual"
)

// Event is what a job runs for. A field is empty when the system does not say it.
type Event struct {
	System System `json:"system"`
	Kind   Kind   `json:"kind"`
	// Name is the system's own word for the event, such as pull_request_target or merge_train.
	Name string `json:"name,omitempty"`
	// Branch is the branch that is built; for a pull request its source. Without refs/heads/.
	Branch string `json:"branch,omitempty"`
	// OfRemote says that Branch may begin with the name of a remote and a slash, which only the clone can tell.
	OfRemote bool `json:"-"`
	// Base is the branch that a pull request is to be merged into. Without refs/heads/.
	Base string `json:"base,omitempty"`
	Tag  string `json:"tag,omitempty"`
	// PullRequest is the number, as digits.
	PullRequest string `json:"pull_request,omitempty"`
	// Fork says that the pull request's code comes from another repository, or that this system usually says so and could
	// not this time. Systems that never say keep forks away by settings of their own: Bitbucket Pipelines runs nothing for
	// them; CodeBuild, TeamCity, Drone and Woodpecker have approvals and filters.
	Fork bool `json:"fork,omitempty"`
	// Lacks is the variable that would tell whether it is a fork, and is not set or names no readable event; else "".
	Lacks string `json:"-"`
	// Commit is the commit that is built; it can be a merge commit that the system made.
	Commit string `json:"commit,omitempty"`
	// Head is the newest commit of a pull request's own branch, where the system says which one is meant: what is built is
	// that commit, or a merge of it.
	Head string `json:"head,omitempty"`
	// RunID names the run within the system; a job that is repeated keeps it where the system has a notion of that.
	RunID string `json:"run_id,omitempty"`
	// Attempt counts the repetitions of the run or job, as the system counts (some from 0, some from 1).
	Attempt string `json:"attempt,omitempty"`
	RunURL  string `json:"run_url,omitempty"`
	// Actor is who started the run.
	Actor string `json:"actor,omitempty"`
}

// env is a process's environment.
type env func(string) string

// first gives the first of the variables that is set.
func (e env) first(names ...string) string {
	for _, n := range names {
		if v := e(n); v != "" {
			return v
		}
	}
	return ""
}

type detector struct {
	system System
	here   func(env) bool
	read   func(env) Event
}

// detectors has the more specific systems first: Jenkins and CodeBuild start jobs of others and the other way round, and
// Woodpecker has set Drone's variables, too.
func detectors() []detector {
	is := func(name string, values ...string) func(env) bool {
		return func(e env) bool {
			for _, v := range values {
				if e(name) == v {
					return true
				}
			}
			return len(values) == 0 && e(name) != ""
		}
	}
	return []detector{
		{GitHub, is("GITHUB_ACTIONS", "true"), github},
		{GitLab, is("GITLAB_CI", "true"), gitlab},
		{Buildkite, is("BUILDKITE", "true"), buildkite},
		{CircleCI, is("CIRCLECI", "true"), circleci},
		{Travis, is("TRAVIS", "true"), travis},
		{Azure, is("TF_BUILD", "True", "true"), azure},
		{Bitbucket, is("BITBUCKET_BUILD_NUMBER"), bitbucket},
		{Woodpecker, is("CI", "woodpecker"), woodpecker},
		{Drone, is("DRONE", "true"), drone},
		{CodeBuild, is("CODEBUILD_BUILD_ID"), codebuild},
		{TeamCity, is("TEAMCITY_VERSION"), teamcity},
		{Jenkins, isJenkins, jenkins},
	}
}

// Detect says what the job runs for whose environment getenv reads; false when it is no system that is known. Beside
// variables it reads the files that GITHUB_EVENT_PATH and TEAMCITY_BUILD_PROPERTIES_FILE name.
func Detect(getenv func(string) string) (Event, bool) {
	for _, d := range detectors() {
		if d.here(getenv) {
			ev := d.read(getenv)
			ev.System = d.system
			return ev, true
		}
	}
	return Event{}, false
}

// maxRunChars keeps the names that are made of a run's id readable; they have other parts, too.
const maxRunChars = 24

var runForm = lazy(`^[a-z0-9][a-z0-9-]*$`)

// Run is a short id of the run for tags, names and directories: lower-case letters, digits and dashes, at most 24
// characters. It is the same for every attempt, so that a repeated job goes on with what it began.
func (e Event) Run() string {
	if e.RunID == "" {
		return ""
	}
	run := string(e.System) + "-" + e.RunID
	if len(run) <= maxRunChars && runForm().MatchString(run) {
		return run
	}
	sum := sha256.Sum256([]byte(e.RunID))
	return string(e.System) + "-" + hex.EncodeToString(sum[:6])
}

// branch is the name of a branch that is given as a ref or as a name.
func branch(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

// digits gives the value when it is a number: systems say "false" or a URL where there is none.
func digits(v string) string {
	if v == "" || strings.Trim(v, "0123456789") != "" {
		return ""
	}
	return v
}

var commitForm = lazy(`^[0-9a-f]{40}$`)

// commitID gives the value when it is the whole id of a commit.
func commitID(v string) string {
	if commitForm().MatchString(v) {
		return v
	}
	return ""
}
