#!/bin/sh
# What the monitoring asks: a node_exporter, an application, and a database with TLS that lets the exporter in.
set -e
ip address add 10.0.0.8/32 dev lo
ip address add 10.0.0.6/32 dev lo
echo '10.0.0.8 application.example' >>/etc/hosts

cd /root
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj /CN=Authority \
  -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt 2>/dev/null
sign() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$1" -addext "subjectAltName=$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days 20 -copy_extensions copy -out "$1.crt" 2>/dev/null
}
sign application DNS:application.example
sign database IP:10.0.0.6
# Users trust it.
cp ca.crt /usr/local/share/ca-certificates/trial.crt
update-ca-certificates >/dev/null 2>&1

systemd-run --quiet --unit application /usr/bin/python3 /root/application.py

mkdir -p /root/database
install -o 999 -g 999 -m 0400 database.key /root/database/server.key
install -o 999 -g 999 -m 0444 database.crt /root/database/server.crt
cat >/root/database/hba.conf <<'HBA'
local all postgres peer
hostssl postgres metrics 10.0.0.6/32 scram-sha-256
hostssl postgres metrics 10.0.0.8/32 scram-sha-256
HBA
cat >/root/database/init.sql <<'SQL'
CREATE ROLE metrics LOGIN PASSWORD 'a-password-for-metrics' IN ROLE pg_monitor;
SQL
docker run --detach --name database --network host --volume /root/database:/given:ro \
  --volume /root/database/init.sql:/docker-entrypoint-initdb.d/init.sql:ro --env POSTGRES_PASSWORD=nobody-needs-it \
  postgres:17 -c listen_addresses=10.0.0.6 -c ssl=on -c ssl_cert_file=/given/server.crt -c ssl_key_file=/given/server.key \
  -c hba_file=/given/hba.conf
timeout 60 sh -c 'until docker exec database pg_isready -q -h 10.0.0.6; do sleep 0.3; done'

docker run --detach --name node --network host prom/node-exporter:"$1" --web.listen-address=10.0.0.8:9100 --collector.textfile.directory=/tmp
