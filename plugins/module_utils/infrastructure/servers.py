# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change about servers."""

from __future__ import annotations

from . import actual, declared
from .draft import hint
from .plan import Ref
from .planning import Planning


def plan_servers(planning: Planning) -> None:
    """Everything but switching them on, which comes after their volumes: see :func:`plan_power`."""
    for server in planning.declared.servers or ():
        ref = Ref("server", server.name)
        existing = planning.actual.servers.get(server.name)
        # Every reference is checked, so that one run names all mistakes.
        known = [
            planning.known(ref, "network", [name for name, _ in server.networks]),
            planning.known(ref, "firewall", server.firewalls or ()),
            planning.known(ref, "placement_group", [server.placement_group] if server.placement_group else []),
            planning.known(ref, "primary_ip", [server.public_ipv4] if server.public_ipv4 else []),
        ]
        if not all(known):
            continue
        if existing is None:
            if planning.known(ref, "ssh_key", server.ssh_keys) and _can_be_had(planning, ref, server):
                _create(planning, ref, server)
                _attach(planning, ref, server, None)
        elif planning.owns(ref, existing) and _same_server(planning, ref, server, existing):
            planning.update(
                ref, {"labels": existing.labels}, {"labels": planning.labels(server.labels, existing.labels)}
            )
            _attach(planning, ref, server, existing)
            _firewalls(planning, ref, server, existing)
            _changes_while_off(planning, ref, server, existing)


def plan_power(planning: Planning) -> None:
    """Servers that are off, or will be, are switched on once nothing is left to be done to them."""
    for server in planning.declared.servers or ():
        ref = Ref("server", server.name)
        existing = planning.actual.servers.get(server.name)
        actions = [step.action for step in planning.steps if step.ref == ref and not step.refused]
        if "create" in actions or "power_off" in actions or (existing is not None and existing.status == "off"):
            off, running = {"status": "off"}, {"status": "running"}
            planning.do(ref, "power_on", "poweron", None, "declared running", before=off, after=running)


def _can_be_had(planning: Planning, ref: Ref, server: declared.Server) -> bool:
    """Whether the vendor sells this server there and now; else it is refused."""
    catalogue = planning.actual.catalogue
    if not planning.location(ref, server.location) or not _type_available(planning, ref, server.type, server.location):
        return False
    address = planning.actual.primary_ips.get(server.public_ipv4 or "")
    if address and address.server:
        holder = planning.actual.name("server", address.server)
        planning.refuse(ref, "create", f"{ref}: its primary IP {address.name} is assigned to server {holder}.")
        return False
    server_type = catalogue.server_types[server.type]
    image = catalogue.images.get(server.image)
    if image is None or server_type.architecture not in image.ids:
        names = sorted(name for name, known in catalogue.images.items() if server_type.architecture in known.ids)
        problem = "there is no image" if image is None else f"there is, for {server_type.architecture}, no image"
        planning.refuse(
            ref, "create", f"{ref}: {problem} {server.image}{hint(server.image, names)}; there are {', '.join(names)}."
        )
        return False
    return True


def _type_available(
    planning: Planning, ref: Ref, name: str, location: str, architecture: str | None = None, action: str = "create"
) -> bool:
    catalogue = planning.actual.catalogue
    server_type = catalogue.server_types.get(name)
    offered = ", ".join(catalogue.available_types(location, architecture)) or "none"
    if server_type is None:
        planning.refuse(ref, action, f"{ref}: there is no server type {name}; in {location} there are {offered}.")
    elif location not in server_type.available:
        elsewhere = ", ".join(sorted(server_type.available)) or "nowhere"
        planning.refuse(
            ref,
            action,
            f"{ref}: server type {name} is not available in {location} (it is in {elsewhere}); "
            f"in {location} there are {offered}.",
        )
    else:
        return True
    return False


def _create(planning: Planning, ref: Ref, server: declared.Server) -> None:
    catalogue = planning.actual.catalogue
    architecture = catalogue.server_types[server.type].architecture
    image = Ref("image", f"{server.image} ({architecture})")
    planning.ids[image] = catalogue.images[server.image].ids[architecture]
    address = {"ipv4": Ref("primary_ip", server.public_ipv4)} if server.public_ipv4 else {}
    group = {"placement_group": Ref("placement_group", server.placement_group)} if server.placement_group else {}
    planning.create(
        ref,
        {
            "name": server.name,
            "server_type": server.type,
            "image": image,
            "location": server.location,
            "labels": planning.labels(server.labels),
            "ssh_keys": [Ref("ssh_key", name) for name in server.ssh_keys],
            "user_data": server.user_data,
            "firewalls": [{"firewall": Ref("firewall", name)} for name in server.firewalls or ()],
            "public_net": {"enable_ipv4": bool(server.public_ipv4), "enable_ipv6": server.public_ipv6, **address},
            # Only a server that is off can be given a fixed private address without having a public one; and it shall
            # see all its interfaces and volumes at its first boot.
            "start_after_create": False,
            **group,
        },
        monthly=catalogue.server_price(server.type, server.location),
    )


def _attach(planning: Planning, ref: Ref, server: declared.Server, existing: actual.Server | None) -> None:
    for name, address in server.networks:
        network = planning.actual.networks.get(name)
        has = existing.private.get(network.id) if existing and network else None
        if has is not None:
            planning.keeps(ref, f"address in {name}", has, address, f"Detach the server from {name} yourself first")
            continue
        others = planning.actual.servers.values() if network else ()
        holder = next((other.name for other in others if network and other.private.get(network.id) == address), None)
        after = {"network": name, "address": address}
        if holder:
            sentence = f"{ref}: the address {address} in {name} is taken by server {holder}. Declare another one."
            planning.refuse(ref, "attach", sentence, after=after)
        else:
            body = {"network": Ref("network", name), "ip": address}
            planning.do(ref, "attach", "attach_to_network", body, f"not in {name}", after=after)


def _same_server(planning: Planning, ref: Ref, server: declared.Server, existing: actual.Server) -> bool:
    """Whether the server can be what is declared without being made anew; else it is refused."""
    has_ipv4 = planning.actual.name("primary_ip", existing.ipv4[0]) if existing.ipv4 else None
    in_console = "Set it in the Hetzner Console, with the server powered off"
    return all(
        [
            planning.keeps(ref, "location", existing.location, server.location, "A server cannot move"),
            _same_system(planning, ref, server, existing),
            planning.keeps(ref, "public_ipv4", has_ipv4, server.public_ipv4, in_console),
            planning.keeps(ref, "public_ipv6", bool(existing.ipv6), server.public_ipv6, in_console),
        ]
    )


def _same_system(planning: Planning, ref: Ref, server: declared.Server, existing: actual.Server) -> bool:
    """Only the family counts: another release is somebody's upgrade in place, or meant for new servers."""
    image = planning.actual.catalogue.images.get(server.image)
    if image is None or existing.image_family in (None, image.family):
        return True
    return planning.keeps(ref, "image", existing.image, server.image, "A server keeps its operating system")


def _firewalls(planning: Planning, ref: Ref, server: declared.Server, existing: actual.Server) -> None:
    if server.firewalls is None:
        return
    has = {planning.actual.name("firewall", firewall) for firewall in existing.firewalls}
    target = [{"type": "server", "server": {"id": ref}}]
    for name in sorted(set(server.firewalls) - has):
        firewall = Ref("firewall", name)
        call = planning.action(firewall, "apply_to_resources", {"apply_to": target})
        planning.add(ref, "add_firewall", call, "declared", after={"firewall": name}, writes=frozenset({firewall}))
    for name in sorted(has - set(server.firewalls)):
        firewall = Ref("firewall", name)
        if existing.id in planning.actual.firewalls[name].servers:
            call = planning.action(firewall, "remove_from_resources", {"remove_from": target})
            before = {"firewall": name}
            planning.add(ref, "remove_firewall", call, "not declared", before=before, writes=frozenset({firewall}))
        else:
            planning.warnings.append(f"{ref} has the firewall {name} by a label selector, which is not declared.")


def _changes_while_off(planning: Planning, ref: Ref, server: declared.Server, existing: actual.Server) -> None:
    """Another type, or another placement group: the API makes these only on a server that is off."""
    group = existing.placement_group
    has_group = planning.actual.name("placement_group", group) if group else None
    new_type, new_group = server.type != existing.type, server.placement_group not in (None, has_group)
    if new_type and not _type_fits(planning, ref, server, existing):
        return
    if new_group and not planning.allowed(ref):
        # It is no worse than before, so nothing stands in the way of the rest of the run.
        planning.warnings.append(
            f"{ref} is in placement group {has_group or 'none'}, declared is {server.placement_group}; "
            f"it changes only while the server is off: allow {ref} to have it powered off and on."
        )
        new_group = False
    if not new_type and not new_group:
        return
    if existing.status != "off":
        planning.do(ref, "power_off", "poweroff", None, "needed for what follows", destructive=True)
    if new_group and has_group:
        planning.do(
            ref,
            "leave_group",
            "remove_from_placement_group",
            None,
            "group differs",
            before={"placement_group": has_group},
        )
    if new_group:
        planning.do(
            ref,
            "join_group",
            "add_to_placement_group",
            {"placement_group": Ref("placement_group", server.placement_group or "")},
            "group differs",
            after={"placement_group": server.placement_group},
        )
    if new_type:
        # Last, since the API may start the server after it.
        price = planning.actual.catalogue.server_price
        planning.do(
            ref,
            "change_type",
            "change_type",
            # Not upgraded, the disk lets the server go back to a smaller type.
            {"server_type": server.type, "upgrade_disk": False},
            "type differs",
            before={"type": existing.type},
            after={"type": server.type},
            monthly=price(server.type, server.location) - price(existing.type, server.location),
        )


def _type_fits(planning: Planning, ref: Ref, server: declared.Server, existing: actual.Server) -> bool:
    if not _type_available(planning, ref, server.type, server.location, existing.architecture, "change_type"):
        return False
    wanted = planning.actual.catalogue.server_types[server.type]
    if wanted.architecture != existing.architecture:
        why = f"A server keeps its architecture, {existing.architecture}"
    elif wanted.disk < existing.disk:
        why = f"The new disk of {wanted.disk} GB is smaller than its own of {existing.disk} GB"
    elif not planning.allowed(ref):
        why = f"Allow {ref} to have it powered off (hard), changed and powered on"
    else:
        return True
    return planning.keeps(ref, "type", existing.type, server.type, why)
