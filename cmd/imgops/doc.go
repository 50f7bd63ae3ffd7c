// Command imgops builds, tests and promotes machine images from role definitions in Git.
//
// Here live flags, configuration (viper), output, exit codes, and the one place where clients are made and wired
// (wire.go). One file per command; release.go is the core loop. No domain logic: what an image should be is package
// roles, what exists is images, and builder, verifier and promoter do the work.
package main
