#!/bin/sh
set -eu
apt-get -qq install --no-install-recommends "$@"
ln -s busybox /usr/bin/wget
ln -s prometheus-node-exporter /usr/bin/node_exporter
