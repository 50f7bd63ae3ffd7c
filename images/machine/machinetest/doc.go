// Package machinetest holds what tests of temporary machines stand on: Cloud, a small EC2 in memory with faults on
// request, and Server, an SSH server in this process. Only tests import it. The cloud that users meet is images/sandbox.
package machinetest
