#!/bin/sh
set -eu
here=${0%/*}
apt-get -qq install --no-install-recommends "$@"
# The upstream image has these from busybox; health checks in compose files use wget.
ln -s busybox /usr/bin/wget
install -m 0644 "$here/prometheus.yml" /etc/prometheus/prometheus.yml
install -d -o nobody -g nogroup /prometheus
chown -R nobody:nogroup /etc/prometheus
