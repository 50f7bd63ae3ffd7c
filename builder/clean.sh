#!/bin/sh
# Removes from a machine what belongs to it alone, so that each machine of its image makes its own. Run as root, as the
# last thing before the machine is stopped. $1 is the temporary SSH key (base64 field) with which the build logged in.
set -eu
key=$1
login=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
set -- /root /home/* "$login"

# The way in: the temporary key, wherever cloud-init put it (root has it behind a command=). Keys that the recipe
# installed on purpose stay; a file that held nothing else goes.
for home; do
	file=$home/.ssh/authorized_keys
	[ -f "$file" ] || continue
	rest=$(grep -vF "$key" "$file" || true)
	if [ -n "$rest" ]; then
		printf '%s\n' "$rest" >"$file"
	else
		rm -f "$file"
	fi
done

# Identity: made again at the first boot of each machine.
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
: >/etc/machine-id
if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then
	ln -sf /etc/machine-id /var/lib/dbus/machine-id
fi
rm -f /etc/udev/rules.d/70-persistent-net.rules
rm -f /var/lib/dhcp/*.lease* /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* /var/lib/NetworkManager/*.lease
rm -rf /run/systemd/netif/leases

# The random seed is saved at shutdown by its service; stopped now, it does not save another.
systemctl stop systemd-random-seed.service 2>/dev/null || true
rm -f /var/lib/systemd/random-seed /var/lib/urandom/random-seed /boot/efi/loader/random-seed /boot/loader/random-seed

# cloud-init: the next boot is a first boot. Its user is made again with its sudo rules.
if command -v cloud-init >/dev/null; then
	cloud-init clean --logs --seed
fi
rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem
rm -f /etc/sudoers.d/90-cloud-init-users

# Packages: what was downloaded, not what is installed.
if command -v apt-get >/dev/null; then
	apt-get clean
	rm -rf /var/lib/apt/lists/*
	rm -f /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old
fi
for tool in dnf yum zypper; do
	if command -v "$tool" >/dev/null; then
		"$tool" clean all
		break
	fi
done

# Histories and what the provisioners left in the homes.
for home; do
	[ -d "$home" ] || continue
	rm -f "$home"/.*_history "$home"/.lesshst "$home"/.viminfo "$home"/.wget-hsts "$home"/.sudo_as_admin_successful
	rm -rf "$home"/.ansible/tmp "$home"/.imgops
	rmdir "$home"/.ansible 2>/dev/null || true
done

# Logs: emptied, not removed, for daemons need the files and their modes. The journal goes to /run until the end.
systemctl stop syslog.socket rsyslog.service 2>/dev/null || true
journalctl --relinquish-var 2>/dev/null || true
rm -rf /var/log/journal/*
find /var/log -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.old' -o -name '*.[0-9]' \) -delete
find /var/log -type f -exec truncate -s 0 {} +

# Temporary files. What services have there of their own (PrivateTmp) goes with them at shutdown.
find /tmp /var/tmp -xdev -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' -exec rm -rf {} +
sync
