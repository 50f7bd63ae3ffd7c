// Package baseimage makes the Debian image that the sandbox offers under Debian's owner id: a root file system from Debian's
// packages with the real systemd, OpenSSH and cloud-init, on one raw ext4 disk without a partition table (label "root").
//
// The image is cached by its recipe: the packages, the files of overlay/, the suite, the mirror and the format version. Nothing here
// knows instances, networks or the store of snapshots.
// Images of other recipes are removed a day after their last use, because several versions of imgops may share the cache (prune.go).
//
// What differs from Debian's own EC2 image, and why: no boot loader (a virtual machine's kernel is booted directly, a container has none), a smaller
// initial RAM disk and choice of packages, no RSA host key (it takes longer than the boot), no apt timers (they would hold the package lock while a role is baked), no gettys.
package baseimage
