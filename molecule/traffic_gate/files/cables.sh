#!/bin/sh
# The private network: this server at 10.0.0.3, and a namespace each for the load balancer, 10.0.0.9, and for somebody else there, 10.0.0.5.
set -e
ip link add br0 type bridge
ip address add 10.0.0.3/24 dev br0
ip link set br0 up
for peer in balancer:10.0.0.9 other:10.0.0.5; do
  name=${peer%%:*}
  ip netns add "$name"
  ip link add "$name" type veth peer name eth0 netns "$name"
  ip link set "$name" master br0 up
  ip -n "$name" address add "${peer##*:}/24" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" link set lo up
done
systemd-run --quiet --unit application python3 /root/application.py
# As UFW leaves it: what is not named is dropped.
if command -v iptables >/dev/null; then
  iptables -P INPUT DROP
  iptables -A INPUT -i lo -j ACCEPT
  iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
  iptables -A INPUT -p tcp --dport 80 -j ACCEPT
fi
