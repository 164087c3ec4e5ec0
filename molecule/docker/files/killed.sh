#!/bin/sh
# A daemon with other settings than its file, as it is when a run is killed after writing; stopped and started by hand in between,
# as people do. A container runs that must not notice anything. And more that is not as it should be.
set -e
cd /etc/docker
cp daemon.json declared.json
python3 - <<'PYTHON'
import json
settings = json.load(open("daemon.json"))
settings |= {"mtu": 1400, "live-restore": False, "default-address-pools": [{"base": "172.24.0.0/16", "size": 24}]}
json.dump(settings, open("daemon.json", "w"))
PYTHON
systemctl restart docker

mkdir -p /root/empty/usr
tar -C / -c bin sbin lib lib64 -C /root/empty usr | docker import - system
docker network create --subnet 172.30.0.0/24 byhand
docker run -d --name survivor --network byhand -v /usr:/usr:ro system /usr/bin/sleep infinity
docker run -d --label bulwark.proof= --network none -v /usr:/usr:ro system /usr/bin/true

mv declared.json daemon.json
systemctl disable docker
gpasswd --add root docker
echo 'deb https://download.docker.com/linux/debian trixie stable' >/etc/apt/sources.list.d/docker.list
date +%s >/root/killed
