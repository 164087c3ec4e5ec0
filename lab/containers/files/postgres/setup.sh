#!/bin/sh
# PostgreSQL where and as whom the upstream image has it.
set -eu
here=${0%/*}

groupadd --system --gid 999 postgres
useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres
install -d -o postgres -g postgres -m 1777 /var/lib/postgresql

# The database is made when a container first starts, not now.
apt-get -qq install --no-install-recommends postgresql-common
echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
apt-get -qq install --no-install-recommends "$@"

localedef --inputfile=en_US --charmap=UTF-8 --alias-file=/usr/share/locale/locale.alias en_US.UTF-8

# A new cluster listens on every address of its container. Diverted, so that an update of the package keeps it.
for major in /usr/share/postgresql/[0-9]*; do
  sample=$major/postgresql.conf.sample
  dpkg-divert --quiet --add --rename --divert "$sample.debian" "$sample"
  sed "s/^#listen_addresses = .*/listen_addresses = '*'/" "$sample.debian" >"$sample"
  grep -q "^listen_addresses = '\*'" "$sample"
done

install -m 0755 "$here/docker-entrypoint.sh" /usr/local/bin/docker-entrypoint.sh
install -d /docker-entrypoint-initdb.d
install -d -o postgres -g postgres -m 3777 /var/run/postgresql
install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
