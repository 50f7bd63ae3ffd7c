// Package verifier judges an image: for each suite of a role it launches a fresh machine of the candidate, waits until
// it has booted, runs the tests of the suite's directory and reports one result per test.
//
// Here live the kinds of tests (goss, bats, testinfra, serverspec, shell scripts) with the parsers of what their tools
// print, and the Report with its JSON and JUnit forms. The goss engine is in verifier/gossagent. How a machine is
// launched and reached belongs to images/machine; the tag that says "verified" is set by the caller.
//
// Tests that reach the machine from here (testinfra by ssh, serverspec) accept its host key only; no setting of theirs
// changes that.
//
// A test that does not pass is a *FailedError, which carries the report. Anything that keeps the tests from being
// judged (no machine, a missing tool, a suite without tests) is another error: it never counts as a pass, and it says
// nothing about the image.
package verifier
