#!/bin/sh
# A bastion between three neighbours, each in a network namespace: "inside" on the private interface, "outside" (the internet)
# on the public one, and "third" on an interface that is none of the role's business. In each answers who.py on port 80.
set -e
systemctl disable --now systemd-networkd.socket systemd-networkd.service

cable() { # neighbour, interface here, address here, address there
  ip netns add "$1"
  ip link add "$2" type veth peer name cable netns "$1"
  ip address add "$3/32" dev "$2"
  ip link set "$2" up
  ip -n "$1" link set lo up
  ip -n "$1" link set cable up
  ip -n "$1" address add "$4/32" dev cable
  ip -n "$1" route add "$3" dev cable
  ip -n "$1" route add default via "$3" dev cable
  ip route add "$4" dev "$2"
  systemd-run --quiet --unit "who-$1" ip netns exec "$1" python3 /root/who.py
}
cable inside enp7s0 10.0.0.2 10.0.0.3
cable outside eth0 203.0.113.10 192.0.2.80
cable third enp8s0 172.30.0.1 172.30.0.2
ip route add default via 192.0.2.80 dev eth0

# What a cloud answers on the link-local address.
ip -n outside address add 169.254.169.254/32 dev cable
ip route add 169.254.169.254 dev eth0
