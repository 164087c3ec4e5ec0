#!/bin/sh
set -eu
here=${0%/*}
apt-get -qq install --no-install-recommends "$@"
ln -s busybox /usr/bin/wget
ln -s prometheus-blackbox-exporter /usr/bin/blackbox_exporter
install -d /etc/blackbox_exporter
install -m 0644 "$here/config.yml" /etc/blackbox_exporter/config.yml
