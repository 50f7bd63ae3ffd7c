// Package builder makes a role's image: a candidate.
//
// Build launches the base, provisions it with what the role says (Ansible, shell, Puppet), cleans it of everything
// that belongs to this one machine, stops it and captures its disk. steps.go lists the steps in order; each removes what it
// made: after a success the image stays and the machine goes, after a failure or an interruption nothing stays.
//
// Ansible reaches the machine by ssh, which accepts its host key only: no variable, ansible.cfg or environment changes that.
// `connection:` in a play for the machine is overruled; a play that insists on paramiko by the variable
// ansible_connection is refused, since paramiko is given no key to accept. What a play does on localhost stays there. Tasks
// that are delegated to other hosts over ssh fail: their keys are not known.
//
// Several runs that want the same digest at once build it once: Once keeps the others waiting, by a lease in SSM.
//
// What a role should be is known by package roles, how a temporary machine is launched by images/machine. Whether an
// image must be built, is good, or goes anywhere is decided elsewhere: builder does not import verifier or promoter.
package builder
