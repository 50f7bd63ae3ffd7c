// Package builder makes a role's image: a candidate.
//
// Build launches the base, provisions it with what the role says (Ansible, shell, Puppet), cleans it of everything
// that belongs to this one machine, stops it and captures its disk. steps.go lists the steps in order; each removes what it
// made: after a success the image stays and the machine goes, after a failure or an interruption nothing stays.
//
// What a role should be is known by package roles, how a temporary machine is launched by images/machine. Whether an
// image must be built, is good, or goes anywhere is decided elsewhere: builder does not import verifier or promoter.
package builder
