// Package images knows which machine images exist, and where.
//
// Here live the Image and Location types, the one encoder and decoder of the imgops:* tags, the Catalogue (what one
// account owns or sees in one Region), the role pointers in SSM with their history, the holds of roles, leases between
// runs, what retention keeps (Expired) and the removal of the rest (Cleaner), and the one look at all of it (Look) that the
// comparison with what main wants is made from (Defaults). Images made,
// verified or promoted are the work of the builder, verifier and promoter packages; what an image should be is the work
// of package roles, which this package does not import.
//
// Package images/machine launches the temporary machines that builder and verifier share; images/sandbox is the
// embedded cloud, and only cmd/imgops and tests import it; images/ledger is the record of what was built, verified and promoted.
package images
