// Package machines runs the disks of the sandbox's instances as machines on this computer. Driver is what the API side sees;
// Nspawn boots a disk as a systemd-nspawn container, which needs root and starts at native speed.
//
// How an nspawn machine lives:
//
//   - One shell per machine, in PID and mount namespaces of its own, loop-mounts the disk there and runs systemd-nspawn on it. The mount exists
//     in that namespace only, and no process outlives the shell: when it ends, for whatever reason, the kernel kills the container, unmounts the
//     disk and frees the loop device. The shell's parent, unshare, leads a session of its own and outlives the server; its pid and start
//     time are recorded. When it dies, the shell does.
//   - One network namespace per machine, made before the machine starts and given its address from outside, and one router namespace per
//     sandbox with the bridge, the metadata listener, the address of the DNS server and the way out. Nothing is set on the host but one veth
//     link and the route to the sandbox's prefix: no firewall rule, no forwarding.
//   - The way out is slirp4netns, a user-mode network stack in the router namespace: unlike a masquerade rule on the host it works beside Docker's
//     or anybody's firewall and without ip_forward, and its DNS proxy uses the host's resolver, whatever that is.
//   - The commands ip and nft are used instead of a netlink library: a batch of each is one process for many steps, and both are
//     needed for looking around anyway.
//   - A volume besides the root is a loop device that the machine has under the volume's names (/dev/sdf, /dev/xvdf, /dev/disk/by-id/...). A process in
//     the shell's PID namespace holds it open: with the machine it ends, and the kernel frees the device. Volumes are attached and detached while
//     the machine runs, too. Partitions of a volume have no devices, and as there is no udev, file systems are not found by label or UUID.
//
// How a qemu machine lives (QEMU), which needs no root and is slower:
//
//   - One QEMU process per machine, in a session of its own, its pid and start time recorded. It is stopped by its power button (QMP), and its serial
//     console is a file. The kernel is booted directly: the newest in the machine's own disk, read with debugfs at every boot. A reset ends
//     the process and the driver starts it again, so that a reboot from inside boots a kernel that was installed before it.
//   - Each machine has a loopback address of the sandbox's own /24 in 127.213.0.0/16, on whose port 22 QEMU listens. Inside, it sees QEMU's user-mode
//     network, which contains the metadata address and the name server's. Other ports of a machine, and machines among each other, are not
//     reachable. Unlike an nspawn machine, it can reach what listens on the host's 127.0.0.1, at its gateway's address.
//   - A volume besides the root is another virtio disk, with the volume's id as serial number and links under its names; a machine that runs gets no more of them.
//   - For each connection to the metadata address QEMU runs a Pipe, which connects to the server from the machine's address. The hop limit of
//     IMDSv2 is not enforced, because QEMU makes the packets.
//   - KVM is used only after a guest has booted with it, which is tried once in a boot of the host and remembered, see chooser.
//
// What both drivers share, the records, the watch for a machine's end and the order of starting and stopping, is keeper; how they differ
// is their mechanism.
//
// All names (link, namespaces, cgroups) are derived from the sandbox's directory, so that what a killed server left is found and
// removed without a list of it.
//
// What does not live here: what an instance is (package sandbox's API), the metadata it is told (imds), where disks come from (disk).
package machines
