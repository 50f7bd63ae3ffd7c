// Package ledger is the record of a fleet that nothing is ever taken out of: what each image is made of and what its tests
// said, and who moved, held or rejected a default, when and why.
//
// An entry is one small JSON file, one per event and image, so that writers who do not know of each other hardly meet:
//
//	images/ROLE/DIGEST/IMAGE/image.json               where it comes from: commit, components of the digest, base, tools, who, where
//	images/ROLE/DIGEST/IMAGE/inventory.json           packages, services and /etc as they were on the machine that was captured
//	images/ROLE/DIGEST/IMAGE/verification-TIME-ID.json  one verification, with its report
//	events/ROLE/TIME-ACTION-ID.json                   a promotion, rollback, hold, release, rejection or retirement
//
// A record that was lost with the run that should have left it is made afterwards, of what AWS tells, by whoever finds that
// (cmd/imgops); it names its maker as `recovered`, and gives way to the run's own where both are there (recovered.go).
//
// record.go has the format, encode.go writes it (the same record is always the same bytes, a line per package, file and
// service, so that Git's deltas are small) and decode.go reads it back, trusting nothing.
//
// Of /etc only names, modes, owners and sums are kept, and never a content: what can clone the fleet would read the secrets
// in it. The sum of a file that others may not read on the machine is made slow to guess (private.go).
//
// A Store keeps entries: Git on the branch imgops-ledger of the fleet's own repository (git*.go), or S3. Neither ever
// changes or removes an entry, and no writer's entries are lost when two write at once. A Spool keeps, in .git/imgops/pending,
// what has not been stored yet: every record goes there first, so a run that is killed or may not push leaves it for the next.
//
// # Git
//
// Blobs, trees and commits are written through go-git into the repository's objects; working tree and index are not touched.
// The fetch asks for this one branch, whatever the clone's own refspec is; the push sends exactly the new objects and names
// the tip that it builds on. When somebody else was faster, the entries are appended to the new tip and pushed again. Neither
// needs history of the other branches, so shallow clones do. refs/imgops/ledger remembers the last tip that was seen: one
// that does not continue it has been rewritten, which is an error that says what to run. From there on, and in a fresh clone in
// all of the history, no commit may change or remove an entry (git_sound.go); events and verifications also carry the first 12
// digits of their content's SHA-256 in their names. A branch reset to an older tip, or begun anew, cannot be told by a clone that
// has not seen the newer one; cmd/imgops keeps the tip in the build account for it (Tip, Lacks). Without a remote the local branch
// imgops-ledger is the ledger, and it is joined in when there is one.
//
// go-git speaks to file, ssh (with the agent) and http(s) remotes (with what `git credential fill` or the URL knows). Where
// it is not let in and there is a git command, that one fetches and pushes instead, for it knows what go-git does not: the
// extraheader of actions/checkout, core.sshCommand, ssh_config, client certificates. It only carries objects.
//
// # S3
//
// Below the prefix are the entries, and log/NUMBER.json: pages that name the entries with their sums, and the page before with
// its own (s3_log.go says which one that is). Entries are written first, then the page, then the tip in the build account; each is
// only ever added, so whoever is interrupted leaves at most entries that no page names yet, and the next writer does that. What
// a page names and is not there as it was is a *RewrittenError.
//
// The package knows no role definitions, no machines and no pointers: cmd/imgops writes records of what was done.
package ledger
