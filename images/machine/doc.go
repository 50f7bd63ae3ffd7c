// Package machine launches the temporary machines on which images are built and verified.
//
// Here live the ordered steps that builder and verifier share, each with its undo: key pair and security group,
// launch, SSH with the host key checked; and the Machine that they make: commands, uploads, waiting for its boot, its
// end. What is done on a machine (provisioning, suites) is the business of builder and verifier.
//
// [Launcher.Launch] runs the steps for a caller who ends the machine with [Machine.Close]. A caller with steps of its
// own lists [KeyPair], [SecurityGroup], [Start] and [Connect] among them and runs all with [RunSteps], which ends the
// machine too. state.go is the only file that knows what is in multistep's state bag.
//
// The host key is made here and given to the machine in its user data, so that the first connection is checked like
// all others. The user data also holds the time at which the machine ends itself. Everything is tagged in the call
// that makes it, and named after the run, so that a lost answer or a killed process leaves nothing that cannot be found.
package machine
