#!/bin/sh
# What a small Debian image for containers is, beyond the essential packages.
set -eu

# Updates come from where debootstrap found the packages.
read -r _ mirror suite _ </etc/apt/sources.list
rm /etc/apt/sources.list
for place in "$mirror $suite" "$mirror $suite-updates" "$mirror-security $suite-security"; do
  echo "deb $place main"
done >/etc/apt/sources.list.d/debian.list

# Nothing starts because it was installed.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d

# Nobody reads them here; licences stay.
cat >/etc/dpkg/dpkg.cfg.d/small <<'DPKG'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
force-unsafe-io
DPKG
find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -type l ! -name copyright -delete
find /usr/share/doc -depth -type d -empty -delete
find /usr/share/locale -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
rm -rf /usr/share/man/* /usr/share/info/*

# What is downloaded is used once.
cat >/etc/apt/apt.conf.d/small <<'APT'
Acquire::Languages "none";
Binary::apt-get::APT::Keep-Downloaded-Packages "false";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
APT
