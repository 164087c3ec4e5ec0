#!/bin/sh
# A host between three neighbours, each in a network namespace: "friend" on the private interface, whom rules let in;
# "stranger" on another one, whom none does; "outside" on the public one. "container" hangs on a bridge, and a rule like
# Docker's publishes its port 80 as 8080. In each namespace and on the host answers who.py.
set -e
systemctl disable --now systemd-networkd.socket systemd-networkd.service
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=0

answer() { # namespace or -, ports
  name=$1; shift
  enter=""
  if [ "$name" != - ]; then enter="ip netns exec $name"; fi
  systemd-run --quiet --unit "who-$name" $enter python3 /root/who.py "$@"
}
cable() { # neighbour, interface here, address here, address there, last group of the IPv6 addresses
  ip netns add "$1"
  ip link add "$2" type veth peer name cable netns "$1"
  ip address add "$3/32" dev "$2"
  ip address add "fd00::$5:1/112" dev "$2" nodad
  ip link set "$2" up
  ip -n "$1" link set lo up
  ip -n "$1" link set cable up
  ip -n "$1" address add "$4/32" dev cable
  ip -n "$1" address add "fd00::$5:2/112" dev cable nodad
  ip -n "$1" route add "$3" dev cable
  ip -n "$1" route add default via "$3" dev cable
  ip route add "$4" dev "$2"
  answer "$1" 80
}
cable friend enp7s0 10.0.0.2 10.0.0.3 a
cable stranger enp8s0 10.0.0.2 10.0.0.4 b
cable outside eth0 203.0.113.10 192.0.2.80 c
ip route add default via 192.0.2.80 dev eth0
ip -n outside address add 169.254.169.254/32 dev cable

ip netns add container
ip link add br-app type bridge
ip address add 172.30.0.1/24 dev br-app
ip link set br-app up
ip link add vethapp master br-app type veth peer name eth0 netns container
ip link set vethapp up
ip -n container link set lo up
ip -n container address add 172.30.0.2/24 dev eth0
ip -n container link set eth0 up
ip -n container route add default via 172.30.0.1
answer container 80
answer - 80 3005 9000 9100

# What Docker does to let forwarded packets pass, and a chain that somebody has made for it.
iptables -N DOCKER-USER
iptables -A DOCKER-USER -m comment --comment somebody-else -j RETURN
iptables -I FORWARD -o br-app -j ACCEPT
iptables -I FORWARD -i br-app -j ACCEPT
iptables -I FORWARD -j DOCKER-USER
nft -f - <<'RULES'
table ip published {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    fib daddr type local tcp dport { 8080, 8081 } dnat to 172.30.0.2:80
  }
}
RULES
