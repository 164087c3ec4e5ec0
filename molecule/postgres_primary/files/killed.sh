#!/bin/sh
# What runs has an older setting than its file, as when a run is killed after it has written and before it has restarted.
set -e
cd /etc/bulwark/postgres
sed -i.declared 's/^max_connections = .*/max_connections = 90/' postgresql.conf
systemctl restart bulwark-postgres
until docker exec bulwark-postgres pg_isready --quiet; do sleep 0.2; done
mv postgresql.conf.declared postgresql.conf

# And more that is not as it should be.
echo 'host all all 0.0.0.0/0 trust' >>pg_hba.conf
chmod 0644 pgpass
systemctl disable bulwark-postgres
docker exec -i --user 999 bulwark-postgres psql --quiet -U postgres <<'SQL'
ALTER ROLE rails_app PASSWORD 'another one, by hand' SUPERUSER;
ALTER ROLE metrics REPLICATION;
REVOKE pg_monitor FROM metrics;
ALTER DATABASE rails_production OWNER TO postgres;
DROP DATABASE rails_production_cable;
\connect rails_production
CREATE TABLE kept (line text);
INSERT INTO kept VALUES ('still here');
SQL
truncate --size 3G /var/tmp/volume/image
losetup --set-capacity /dev/loop6
touch /root/killed
