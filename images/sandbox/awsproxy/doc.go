// Package awsproxy is the HTTP proxy that leads AWS clients to the sandbox which read no AWS_ENDPOINT_URL (the AWS SDK for Go v1, and
// Debian's Packer with it). A client is given it as HTTPS_PROXY, and the certificate of its Authority as AWS_CA_BUNDLE.
//
// A request for a host of AWS never leaves this computer: the Proxy ends its TLS with a certificate made on the spot and gives it to the
// sandbox, which knows AWS' host names (hosts.go of package sandbox). Every other host gets a tunnel whose bytes nobody here can read, through the
// proxy that the client's user has (Outer), if any. What AWS' domains are and what they answer is not decided here.
package awsproxy
