"""Every fixed name, address and path of the embedded cloud, once."""

from __future__ import annotations

import os
from pathlib import Path

#: Prefix of every container, namespace, interface and table the lab makes; what carries it is the lab's to remove.
#: Another one lets tests make things beside a lab that is up.
PREFIX = os.environ.get("BULWARK_PREFIX", "bulwark")

STATE = Path(os.environ.get("BULWARK_STATE", Path.home() / ".local/state/bulwark"))
CACHE = Path(os.environ.get("BULWARK_CACHE", Path.home() / ".cache/bulwark"))

#: The API listens here on loopback of the machine and on loopback of the administrator's namespace.
API_HOST = "127.0.0.1"
API_PORT = 8787
API_URL = f"http://{API_HOST}:{API_PORT}/v1"
#: The management interface, on loopback of the machine only.
MANAGEMENT_PORT = 8788
MANAGEMENT_URL = f"http://{API_HOST}:{MANAGEMENT_PORT}"

#: The authority whose certificates the lab's servers trust as others trust the public ones.
AUTHORITY = STATE / "authority"

#: That authority with the machine's public ones, for programs of the administrator and of users.
TRUSTED = STATE / "trusted.crt"

#: The buckets of the object storage, and the pair of keys that opens them.
OBJECTS = STATE / "objects"
OBJECT_STORAGE_FILE = STATE / "object-storage.json"

#: The API's state, from which a restarted process continues.
CLOUD_FILE = STATE / "cloud.json"

#: Cloudflare's API listens here, on loopback of the machine and on loopback of the administrator's namespace.
CLOUDFLARE_PORT = 8789
CLOUDFLARE_URL = f"http://{API_HOST}:{CLOUDFLARE_PORT}/client/v4"
#: Its state, the token of the lab, and the authorities of origin certificates.
CLOUDFLARE = STATE / "cloudflare"

# Addresses of the embedded internet. They come from the range reserved for documentation (RFC 5737, TEST-NET-2), so
# that no real host can be meant by one.
INTERNET_RANGE = "198.51.100.0/24"
ADMIN_ADDRESS = "198.51.100.10"
USER_ADDRESS = "198.51.100.20"
WHATISMYIP_ADDRESS = "198.51.100.80"
REGISTRY_ADDRESS = "198.51.100.81"
OBJECT_STORAGE_ADDRESS = "198.51.100.82"
EDGE_ADDRESS = "198.51.100.83"  # where proxied names lead, and where the edge calls origins from
EDGE_IPV6 = "2001:db8:ffff:83::1"
SERVER_ADDRESSES = ("198.51.100.100", "198.51.100.199")  # primary IPs, first and last
SERVER_IPV6_RANGE = "2001:db8::/32"  # primary IPv6 networks, a /64 each (RFC 3849), given out from below
ADMIN_IPV6 = "2001:db8:ffff:10::1"
USER_IPV6 = "2001:db8:ffff:20::1"

# As on the real cloud.
PUBLIC_GATEWAY = "172.31.1.1"
RESOLVERS = ("185.12.64.1", "185.12.64.2")
WHATISMYIP_NAMES = ("ifconfig.me",)
REGISTRY_NAMES = ("registry.bulwark.example",)
OBJECT_STORAGE_NAME = "objects.bulwark.example"  # and each bucket's below it
OBJECT_STORAGE_REGION = "lab"
CLOUDFLARE_ZONE = "bulwark.example"
PUBLIC_MTU = 1500
PRIVATE_MTU = 1450
PUBLIC_INTERFACE = "eth0"
PRIVATE_INTERFACE = "enp7s0"

#: What the embedded internet may reach outside: the package mirrors.
UPLINK_PORTS = (80, 443)

#: Those of the lab's own application, which no registry has.
_APPLICATION_IMAGES = ("bulwark/application", "bulwark/application-proxy")

#: Container images that ``up`` makes, by their names in ``lab.containers.recipes``, so that servers can pull them. With
#: ``BULWARK_IMAGES=registry`` in the environment all others are pulled from where everybody gets them.
CONTAINER_IMAGES: tuple[str, ...] = (
    _APPLICATION_IMAGES
    if os.environ.get("BULWARK_IMAGES") == "registry"
    else (
        "postgres",
        *_APPLICATION_IMAGES,
        "prom/prometheus",
        "prom/alertmanager",
        "prom/blackbox-exporter",
        "prometheuscommunity/postgres-exporter",
    )
)
