#!/bin/sh
set -eu
here=${0%/*}
apt-get -qq install --no-install-recommends "$@"
ln -s busybox /usr/bin/wget
ln -s prometheus-alertmanager /usr/bin/alertmanager
install -d -o nobody -g nogroup /alertmanager /etc/alertmanager
install -o nobody -g nogroup -m 0644 "$here/alertmanager.yml" /etc/alertmanager/alertmanager.yml
