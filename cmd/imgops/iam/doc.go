// Package iam says what imgops may need of AWS in the accounts of a fleet, as IAM policy documents with the fleet's own
// accounts, Regions, names and keys in them.
//
// It holds the knowledge of which permission is for what, and nothing else: it calls nobody and reads no file. The
// actions and their resource types and condition keys are those of the Service Authorization Reference (EC2, Systems
// Manager, S3, KMS, STS). A test compares the actions with the calls that the code makes.
package iam
