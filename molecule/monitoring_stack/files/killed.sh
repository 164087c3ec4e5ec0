#!/bin/sh
# Files that nobody has read, as when a run is killed after it has written; a container from an older compose file, one that is
# stopped, one that is no longer declared, and a rule that was left behind.
set -e
cd /etc/bulwark/monitoring
docker inspect --format '{{.State.StartedAt}}' bulwark-prometheus >/root/started
# What runs has an older rule than the file.
sed -i.declared 's/ApplicationAsked/ApplicationAskedBefore/' prometheus/rules/own.yml
kill -HUP "$(docker inspect --format '{{.State.Pid}}' bulwark-prometheus)"
timeout 30 sh -c 'until curl -fsS http://10.0.0.8:9090/api/v1/rules | grep -q ApplicationAskedBefore; do sleep 0.2; done'
mv prometheus/rules/own.yml.declared prometheus/rules/own.yml
printf 'groups: []\n' >prometheus/rules/left-behind.yml

sed 's/GOMEMLIMIT: 57MiB/GOMEMLIMIT: 50MiB/' compose.yml >/root/older.yml
docker compose --file /root/older.yml up --detach bulwark-blackbox-exporter
docker stop --time 1 bulwark-alertmanager
docker run --detach --name bulwark-no-more --label com.docker.compose.project=bulwark-monitoring \
  --label com.docker.compose.service=no-more --label com.docker.compose.oneoff=False --entrypoint sleep postgres:17 infinity
chmod 0644 alertmanager/secrets/heartbeat_url

# Killed while it tried a login.
mkdir -p /etc/bulwark/monitoring.new/postgres_exporter
echo not-the-password >/etc/bulwark/monitoring.new/postgres_exporter/password
docker run --detach --name bulwark-monitoring-trial --label com.docker.compose.project=bulwark-monitoring --entrypoint sleep postgres:17 infinity
