// Package disk keeps the contents of the sandbox's snapshots.
//
// A disk is a sparse raw file. A snapshot is a manifest (<id>.map, JSON) that says for each 64 KiB block in whose data file its content
// lies, and a sparse data file (<id>.data) with the blocks that differ from its parent, each at its own offset. The manifest names the owner of every block
// directly, so restoring is one pass however long the chain of parents is; ten images of one base take about one base plus the differences.
// Blocks of zeroes are in no data file.
//
// The manifest is written last and by rename: a snapshot that a killed process left half-made is not listed, and Open removes its rests. A data file
// lives as long as a manifest names it; Delete gives the blocks that nobody needs any more back to the file system. Nothing is synced: this
// guards against a killed process, not against a power cut.
//
// One process may have a store open. Instances, images and who owns a snapshot are not known here.
package disk
