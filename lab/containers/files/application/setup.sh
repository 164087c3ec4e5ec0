#!/bin/sh
set -eu
here=${0%/*}
apt-get -qq install --no-install-recommends "$@"
install -D -m 0644 "$here/server.py" /usr/local/lib/application/server.py
