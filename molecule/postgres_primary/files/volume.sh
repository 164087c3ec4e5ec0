#!/bin/sh
# A volume as a cloud plugs it: empty, and under a name that stays the same.
set -e
truncate --size 2G /var/tmp/volume/image
losetup /dev/loop6 /var/tmp/volume/image
mkdir -p /dev/disk/by-id
ln -sf /dev/loop6 /dev/disk/by-id/scsi-0HC_Volume_1
# Detached while somebody holds it, it stays until nobody does: it is gone with the server, however that ends.
systemd-run --quiet --unit hold-volume --property Type=exec --property StandardInput=file:/dev/loop6 sleep infinity
losetup --detach /dev/loop6
ip address add 10.0.0.6/32 dev lo
