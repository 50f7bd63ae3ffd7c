// Package sandbox is an EC2-compatible cloud in this process: the calls of EC2, SSM Parameter Store, STS, KMS and S3 that
// image work needs, for any number of accounts in all Regions, over HTTP. Its clients are aws-sdk-go-v2, the AWS CLI, boto3 and
// what is built on them; it is not a library to call. Its instances are as real as the machines.Driver that it is given.
//
// # How a request travels
//
//   - loopback.go: LoopbackOnly, which imgops puts in front, refuses a request that does not name this computer.
//   - Or it comes through package awsproxy, from a client that knows AWS' host names only: hosts.go reads what such a name says of
//     service, Region and bucket.
//   - server.go: serveHTTP reads the body (at most 1 MiB) and answers GET /_imgops/status itself. A body that is too large is
//     refused in the form of its service.
//   - auth.go: the credential scope in the Authorization header, or in a presigned URL (auth_presigned.go), names service and Region; the signature is verified by signing
//     the request again with the secret of its key (identity.go). The result is who calls: an identity.
//   - actions.go: the table of the service, from the action's name to an action; a name that is not there is answered with
//     InvalidAction. The wrappers reads and writes (call.go) decode the parameters into the handler's request struct
//     (package query; what has no field is UnknownParameter), open a transaction of package state, call the handler, and
//     drop its writes when it fails or when DryRun is set.
//   - Under conditions (conditions.go) perform stands before that: a call may be throttled (condition_throttle.go), be struck
//     by a fault rule (fault.go), take its time (condition_latency.go) and see an older state (condition_lag.go). A handler
//     asks unseen of what a read may not find yet, and not where AWS decides strictly (names, tokens).
//   - The handler checks everything first and stages its writes last. What takes time (starting a machine, capturing a
//     disk) is not done there: the handler stores a row in a passing state (pending, stopping, ...) and asks with
//     q.after for its lane to run (lanes.go) once the transaction is on file.
//   - jobs_*.go: a job looks at the row, does what its state asks for, and stores the final state. Since it reads all it
//     needs from the row, recover.go gets a sandbox that was killed going again by running the same jobs; leftovers.go removes
//     the files that no row names.
//   - server.go encodes the answer of EC2 and STS as XML, server_json.go that of SSM and KMS as JSON.
//   - s3.go goes its own way, for S3's calls are methods and paths: buckets and whole objects in path style, conditional writes
//     and listings. What it lacks is NotImplemented.
//
// # Where to add an action
//
// Write a request struct, an answer struct and a handler beside the handlers of the same resource (image_*.go,
// instance_*.go, snapshot.go, ssm_*.go, kms_*.go, ...), and one line in the table in actions.go: writes for what changes something,
// reads for the rest. Filters of a Describe call are a map from filter name to a function of the row (filter.go); pages come
// from page.go, tags from tags.go, permission lists from share.go, errors that several handlers share from errors.go. Rows and
// their tables are in model.go; what an account has set for a Region is one row (ebs_settings.go).
//
// Small ones to begin from are enableImage (image_retire.go) and getAllowedImages (image_allowed.go). A test calls the new
// action through an SDK. TestBoto3 fails until testdata/strangers/calls.py makes the call too, by boto3 and by the AWS CLI.
// A rule of AWS that the action keeps belongs into contract_cases_test.go, with the page that has it.
//
// # What belongs to whom
//
// Rows carry the account and Region that own them. Tags are kept apart from what they are on, by the account that put
// them there: they are invisible to every other account, also on a shared image (image_visible.go has who sees what).
// The bytes of snapshots are blobs (blobs.go), which copies of a snapshot share.
//
// KMS (kms_*.go) says who may use a key; encryption.go asks it for EBS when something is copied, launched or captured. Such a
// call is accepted whatever the key, and what it makes fails later, as on EC2. Nothing is really encrypted.
//
// A volume's row says which instance has it; an instance's row names its root only. Block device mappings (mappings.go) change the
// devices of an image at a launch (instance_devices.go) and those of an image that is made (image_devices.go); volumes of
// instances that exist come and go in volume_attach.go. Names of the instance store (VirtualName) are kept and shown, no more.
//
// What an account keeps itself from seeing is in image_allowed.go. Which account is in which organization and organizational
// unit is said when the sandbox starts (organization.go): launch permissions and key policies that name them reach those
// accounts. There is no IAM: whom a key policy or a launch permission admits as an account, all its identities are admitted,
// and instance profiles are shown without giving credentials.
//
// contract_test.go holds this package to AWS: the same cases run against moto and, with IMGOPS_TEST_AWS=1, a real account.
//
// Machines, disks, the metadata service and base images live in the packages below this one.
package sandbox
