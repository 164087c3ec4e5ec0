#!/bin/sh
set -eu
apt-get -qq install --no-install-recommends "$@"
ln -s busybox /usr/bin/wget
ln -s prometheus-postgres-exporter /usr/bin/postgres_exporter
