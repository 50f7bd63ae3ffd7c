// Package promoter makes a verified image the default of its role in the accounts and Regions of its targets.
//
// Plan looks and writes down what is missing, as Steps that a person can read; it changes nothing. Apply does those
// steps, in stages: all copies, then their tags, the snapshot permissions, the launch permissions, own copies of the
// accounts that want them, a look at each image from the account that will launch it, and only then the pointers, which
// move last and are read back. After them come the imgops:default and imgops:promoted tags, and the permissions of
// accounts that left the fleet. Every step is find-or-create, so that Plan and Apply after an interruption at any point
// finish what was begun and make nothing twice.
//
// Of several runs at once, one moves pointers at a time: before they move, a run takes its turn (a lease in SSM) and looks
// again at the pointers, the holds and the record of promotions. So of two merges whose pipelines end in the wrong order
// the newer one's default stays, whatever the order of their calls was. A main commit that finds its image in place
// leaves a note on it (imgops:confirmed), for an older one that comes later must be told from a newer one by that.
//
// PlanRollback plans the way back to an earlier image, by the same steps and with other rules; Reject keeps an image and
// what was built on it from ever being promoted; Retire removes the pointers of a role that main has no more. A role that
// a person holds is left alone by promotions, and not by rollbacks.
//
// What is refused is a *RefusedError; nothing has been changed then. What one location lacks never holds up another:
// the Result lists what was done and what is left.
//
// How an image is made, how it is tested, and what the fleet's repository says, is not known here: package promoter
// imports images, and neither builder, verifier nor roles.
package promoter
