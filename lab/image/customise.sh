#!/bin/sh
# Runs once, inside the new system, after debootstrap. Its argument is the folder with our files.
set -eu
files=$1

install -m 0755 "$files/boot" /usr/local/sbin/boot
install -m 0644 "$files/70-private.network" /usr/lib/systemd/network/70-private.network
install -m 0644 "$files/90-lab.cfg" /etc/cloud/cloud.cfg.d/90-lab.cfg

systemctl -q enable systemd-networkd systemd-resolved ssh
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf

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

# Each server makes its own.
rm -f /etc/ssh/ssh_host_* /etc/hostname
: >/etc/machine-id
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /usr/share/doc /usr/share/man /usr/share/locale
