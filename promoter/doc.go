// Package promoter makes a verified image the default of its role in the accounts and Regions of its targets.
//
// Plan looks and writes down what is missing, as Steps that a person can read; it changes nothing. Apply does those
// steps, in stages: all copies, then their tags, the snapshot permissions, the launch permissions, own copies of the
// accounts that want them, a look at each image from the account that will launch it, and only then the pointers, which
// move last and are read back. After them come the imgops:default and imgops:promoted tags, and the permissions of
// accounts that left the fleet. Every step is find-or-create, so that Plan and Apply after an interruption at any point
// finish what was begun and make nothing twice.
//
// What is refused is a *RefusedError; nothing has been changed then. What one location lacks never holds up another:
// the Result lists what was done and what is left.
//
// How an image is made, how it is tested, and what the fleet's repository says, is not known here: package promoter
// imports images, and neither builder, verifier nor roles.
package promoter
