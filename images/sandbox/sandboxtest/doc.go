// Package sandboxtest gives tests a sandbox without machines, the API clients of its accounts, and images that nobody
// had to build. The clients count the calls and can die with the answer of one, as a process that is killed does.
package sandboxtest
