// Package machine launches the temporary machines on which images are built and verified.
//
// Here live the ordered steps that builder and verifier share, each with its undo: key pair and security group,
// launch, SSH with the host key checked. What is done on a machine (provisioning, suites) is the business of builder and verifier.
package machine
