"""What a server finds at its first boot: the files of cloud-init's NoCloud source, and whom to trust."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from lab import settings
from lab.containers import certificates
from lab.drivers.base import Machine

FOLDER = "var/lib/cloud/seed/nocloud"


def files(machine: Machine) -> dict[str, str]:
    """Names and contents of the seed."""
    metadata = {
        "instance-id": f"{settings.PREFIX}-{machine.machine_id}",
        "local-hostname": machine.name,
        "public-keys": list(machine.ssh_keys),
    }
    return {
        # JSON is YAML, so nothing can be misread in a name or a key.
        "meta-data": json.dumps(metadata),
        "user-data": machine.user_data or "#cloud-config\n{}\n",
        "network-config": json.dumps(_network(machine)),
    }


def _network(machine: Machine) -> dict[str, Any]:
    """The public interface, as the vendor's metadata describes it; private ones come up by DHCP when plugged."""
    public = machine.public
    if public is None or (public.ipv4 is None and public.ipv6 is None):
        return {"config": "disabled"}
    addresses, routes = [], []
    if public.ipv4:
        addresses.append(f"{public.ipv4}/32")
        routes.append({"to": "0.0.0.0/0", "via": settings.PUBLIC_GATEWAY, "on-link": True})
    if public.ipv6:
        network, _, length = public.ipv6.partition("/")
        addresses.append(f"{network}1/{length}")
        routes.append({"to": "::/0", "via": "fe80::1", "on-link": True})
    interface = {
        "dhcp4": False,
        "addresses": addresses,
        "routes": routes,
        "nameservers": {"addresses": list(settings.RESOLVERS)},
    }
    return {"version": 2, "ethernets": {settings.PUBLIC_INTERFACE: interface}}


def trust() -> dict[str, str]:
    """The lab's authority where a server, and its Docker for the registry, look for whom to trust."""
    if not certificates.CERTIFICATE.exists():
        return {}
    authority = certificates.CERTIFICATE.read_text()
    # The first boot adds it to those that the image brings along.
    places = ["usr/local/share/ca-certificates/lab.crt"]
    places += [f"etc/docker/certs.d/{name}/ca.crt" for name in settings.REGISTRY_NAMES]
    return dict.fromkeys(places, authority)


def archive(machine: Machine) -> bytes:
    """The seed as a tar archive to unpack at /, with the name by which the system knows itself."""
    contents = {f"{FOLDER}/{name}": text for name, text in files(machine).items()} | trust()
    contents["etc/hostname"] = f"{machine.name}\n"
    contents["etc/hosts"] = f"127.0.0.1 localhost\n127.0.1.1 {machine.name}\n::1 localhost ip6-localhost\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            # As on any server, what user_data holds is root's to read.
            entry.mode = 0o600 if name.startswith(FOLDER) else 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
