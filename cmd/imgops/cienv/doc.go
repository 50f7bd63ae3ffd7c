// Package cienv reads the environment of a CI job and says what the job runs for: a pull request, a push, a tag, a
// schedule, with the branches, the commit and the run. It knows the documented variables of each system, and names its
// source beside each rule.
//
// There are detection libraries for Go (cucumber/ci-environment, suzuki-shunsuke/go-ci-env), and env-ci for JavaScript,
// which the rules here were compared with. None of them tells forks, merge queues, schedules and the target branch
// apart for the systems that imgops is used on, and that is what decides here.
//
// What is done about an event (what is built, and whether anything is promoted) is not decided here but in cmd/imgops.
package cienv
