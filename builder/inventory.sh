# Lists what the machine holds, after clean.sh and in its shell: sudo is gone by then. It writes nothing on the machine, and
# what cannot be listed is left out. $boundary parts the sections; the parts of a line are ended by NUL or tab.
section() { printf '\n%s %s\n' "$boundary" "$1"; }

section dpkg
if command -v dpkg-query >/dev/null 2>&1; then
	dpkg-query -W -f '${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\n'
fi
section rpm
if command -v rpm >/dev/null 2>&1; then
	rpm -qa --qf '%{NAME}\t%{ARCH}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\tinstalled\n'
fi
section units
if command -v systemctl >/dev/null 2>&1; then
	SYSTEMD_COLORS=0 systemctl list-unit-files --no-legend --no-pager --full
fi
section etc
find /etc -xdev -mindepth 1 -printf '%y\0%m\0%u\0%g\0%s\0%p\0%l\0'
section sums
find /etc -xdev -type f -exec sha256sum -z -- {} +
section end
exit 0
