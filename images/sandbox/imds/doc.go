// Package imds is EC2's instance metadata service (IMDS) for the machines of the sandbox: version 1 (plain requests) and
// version 2 (with a session token), as the EC2 User Guide describes it under "Use the Instance Metadata Service".
//
// Handler answers HTTP and knows nothing of networks: the caller is recognised by its remote address, and a lookup function turns
// that into the Document of the instance. Who listens on 169.254.169.254, and in which network namespace, is the business
// of package machines; what an instance is, is the business of the API side.
//
// What is left out: instance profile credentials (iam/), events, spot and the signatures of the identity document, which only
// AWS can make.
package imds
