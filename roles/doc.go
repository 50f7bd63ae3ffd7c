// Package roles says what an image should be. It reads a fleet (imgops.yaml, imgops.lock, roles/*/image.yaml and the
// Ansible content around them) at a commit or from the working tree, reports every mistake in it at once, orders
// roles parents before children, and computes the digests that identify an image and its verification.
//
// The way in is [OpenRepo], then [Repo.Load] or [Repo.LoadWorktree], then [Fleet.Resolve] with the image ids that the
// external bases are pinned to. [Explain] says why two digests differ, [Fleet.Affected] which roles a change touches,
// and [Fleet.Materialize] writes exactly the files that a digest covers: what is not in the digest is not there when
// the image is built, so a missed reference fails a build and can never make a stale image.
//
// How it is laid out: open.go and repo*.go open Git, fetch.go gets what a CI's clone lacks (with the git binary, and
// only where AllowFetch says so), lfs.go finds what Git LFS keeps; attributes.go and conversion*.go know what a
// checkout converts, and convert.go has the git binary do it for a build; tree.go and store.go are the file trees
// that everything else reads; packs.go gets Git's objects; worktree.go, checkout.go, indexed.go and index.go make
// such a tree from a checkout, doubt.go asks Git about files that may be as it made them, ignore.go and wildmatch*.go
// match what it ignores; near.go takes over what a commit has in common with a fleet that is loaded; yaml.go,
// config_parse.go, image_parse.go and lock.go parse; link.go checks files against each other, suites.go that there
// are tests, conflict.go that a merge left nothing behind; reach.go, scan*.go, refer.go and jinja.go follow Ansible's
// references, kinds.go says what each file is read as, resolve.go and linked.go follow symlinks, requirements.go what
// Galaxy installs, and where one cannot be followed, every file counts; digest.go and explain.go compute and compare;
// quiet.go remembers between runs what costs most to find out.
//
// What does not live here: anything about AWS, images that exist, or how a role is applied to a machine.
package roles
