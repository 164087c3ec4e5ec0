#!/bin/sh
# A private server on one cable to the network's router, a network namespace that also holds an address of the internet. The
# server's DHCP client is the image's own networkd.
set -e
ip netns add router
ip link add enp7s0 address 86:00:00:12:34:56 type veth peer name cable netns router
ip -n router link set lo up
ip -n router address add 10.0.0.1/32 dev cable
ip -n router address add 192.0.2.80/32 dev lo
ip -n router link set cable up
ip -n router route add 10.0.0.3 dev cable
ip -n router route add 255.255.255.255 dev cable
systemd-run --quiet --unit dhcp ip netns exec router python3 /root/dhcp.py

# What the vendor's images bring along and must not run beside networkd.
cat >/usr/lib/systemd/system/hc-net-scan.service <<'UNIT'
[Service]
Type=oneshot
ExecStart=true
[Install]
WantedBy=multi-user.target
UNIT
cat >/usr/lib/systemd/system/hc-net-ifup@.service <<'UNIT'
[Service]
ExecStart=sleep infinity
UNIT
systemctl enable hc-net-scan.service
systemctl start hc-net-ifup@enp7s0.service

ip link set enp7s0 up
# Ready is a server that has its address.
for _ in $(seq 100); do
  if ip -4 address show dev enp7s0 | grep -q 10.0.0.3; then exit 0; fi
  sleep 0.2
done
echo "no address by DHCP" >&2
exit 1
