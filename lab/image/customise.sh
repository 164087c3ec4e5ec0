#!/bin/sh
# Runs once, inside the new system, after debootstrap. Its arguments: the folder with our files, and packages to download.
set -eu
files=$1
shift

install -m 0755 "$files/boot" /usr/local/sbin/boot
install -m 0644 "$files/70-private.network" /usr/lib/systemd/network/70-private.network
install -m 0644 "$files/90-lab.cfg" /etc/cloud/cloud.cfg.d/90-lab.cfg
install -m 0644 "$files/90-lab.apt" /etc/apt/apt.conf.d/90-lab
install -m 0644 "$files/90-lab.dpkg" /etc/dpkg/dpkg.cfg.d/90-lab

systemctl -q enable systemd-networkd systemd-resolved ssh

# Settings of the kernel that are not a container's own belong to the machine: never written from in here.
for shared in /usr/lib/sysctl.d/*.conf; do
  ln -sf /dev/null "/etc/sysctl.d/${shared##*/}"
done
# Hardware is the machine's business as well, and so is its clock.
systemctl -q mask systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service systemd-timesyncd.service \
  systemd-udevd-kernel.socket systemd-udevd-control.socket

# Updates come from where debootstrap found the packages.
read -r _ mirror suite _ </etc/apt/sources.list
rm /etc/apt/sources.list
for place in "$mirror $suite" "$mirror $suite-updates" "$mirror-security $suite-security"; do
  echo "deb $place main"
done >/etc/apt/sources.list.d/debian.list

# The lists as well, so that a server's first update asks for news and gets little. The packages become a source of the
# image's own, read first: a newer version elsewhere still wins. They are packed anew, because servers that install at the
# same time mostly wait for unpacking, and zstd takes a third of the time. Without recommendations, as the roles install.
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
apt-get -qq update
apt-get -qq install --download-only --no-install-recommends "$@"
mkdir /var/cache/lab-packages
cd /var/cache/lab-packages
for package in /var/cache/apt/archives/*.deb; do
  name=${package##*/}
  dpkg-deb --raw-extract "$package" unpacked
  dpkg-deb -Zzstd -z1 --build unpacked "$name" >/dev/null
  rm -r unpacked "$package"
  dpkg-deb --field "$name"
  echo "Filename: ./$name"
  echo "Size: $(stat --format %s "$name")"
  echo "SHA256: $(sha256sum "$name" | cut -d ' ' -f 1)"
  echo
done >Packages
echo "deb [trusted=yes] file:$PWD ./" >/etc/apt/sources.list.d/00-lab.list
apt-get -qq update
rm -f /var/cache/apt/*.bin
# From here on its resolver is its own; the one of the machine that made it has found the mirror above.
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf

# Each server makes its own.
rm -f /etc/ssh/ssh_host_* /etc/hostname
: >/etc/machine-id
rm -rf /usr/share/doc /usr/share/man /usr/share/locale
