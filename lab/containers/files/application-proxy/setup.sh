#!/bin/sh
set -eu
apt-get -qq install --no-install-recommends "$@"
# What is served until a configuration is mounted.
mkdir -p /etc/application-proxy
cp "${0%/*}/haproxy.cfg" /etc/application-proxy/haproxy.cfg
