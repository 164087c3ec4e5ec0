"""The lab's commands, called by the launcher."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lab import engine, lifecycle, settings
from lab.cloudflare import state as cloudflare
from lab.command import CommandError
from lab.containers import build as containers
from lab.drivers.base import DriverError
from lab.drivers.docker.driver import container_name

app = typer.Typer(
    help="The embedded cloud. For learning and tests only: it listens on loopback and in its own namespaces.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


@app.command()
def up(profile: str = "fast") -> None:
    """Start the embedded cloud, empty."""
    with lifecycle.alone():
        lifecycle.up(_say, profile)


@app.command()
def restart(profile: str = "fast") -> None:
    """Restart the API's process; the servers run on."""
    with lifecycle.alone():
        lifecycle.restart(_say, profile)


@app.command("prepare-engine")
def prepare_engine() -> None:
    """Have a Docker Engine with the servers' image; prints the address for DOCKER_HOST."""
    with lifecycle.alone():
        lifecycle.prepare_engine(_say)
    print(engine.find() or "")


@app.command()
def down() -> None:
    """Remove everything up made."""
    with lifecycle.alone():
        lifecycle.down(_say)


@app.command("container-image")
def container_image(name: str, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Have a container image; prints the archive of it that `docker load` reads, with --json also its references."""
    image, archive = containers.archive(name, _say)
    print(json.dumps({"archive": str(archive), "references": image.references}) if as_json else archive)


@app.command()
def serve(profile: str = "fast") -> None:
    """Serve the API (internal: up starts it)."""
    from lab.serve import serve as run_server  # costs half a second that no other command should pay

    run_server(lifecycle.token(), "realistic" if profile == "realistic" else "fast")


@app.command()
def environment() -> None:
    """Print what the administrator's programs need to know, as lines for a shell."""
    if not lifecycle.ADMIN_KEY.exists():
        raise CommandError("the embedded cloud is not up; ./bulwark up starts it")
    public_key = lifecycle.ADMIN_KEY.with_suffix(".pub").read_text().strip()
    for name, value in {
        "HCLOUD_TOKEN": lifecycle.token(),
        "HCLOUD_ENDPOINT": settings.API_URL,
        "CLOUDFLARE_API_TOKEN": cloudflare.make_token(),
        "CLOUDFLARE_API_ENDPOINT": settings.CLOUDFLARE_URL,
        "CLOUDFLARE_BASE_URL": settings.CLOUDFLARE_URL,
        "BULWARK_LAB_PUBLIC_KEY": public_key,
        "ANSIBLE_PRIVATE_KEY_FILE": str(lifecycle.ADMIN_KEY),
        # Of the images that the registry has; what was set up on another day has others.
        "BULWARK_LAB_VERSIONS": json.dumps({name: containers.version(name) for name in settings.CONTAINER_IMAGES}),
    }.items():
        print(f"export {name}='{value}'")


def _all(kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page: int | None = 1
    while page:
        answer = lifecycle.api(f"/{kind}?per_page=50&page={page}")
        found += answer[kind]
        page = answer["meta"]["pagination"]["next_page"]
    return found


def _summary() -> dict[str, list[dict[str, Any]]]:
    networks = {network["id"]: network["name"] for network in _all("networks")}
    servers = sorted(_all("servers"), key=lambda server: str(server["name"]))
    names = {server["id"]: server["name"] for server in servers}
    return {
        "servers": [
            {
                "name": server["name"],
                "private_ip": next((nic["ip"] for nic in server["private_net"]), None),
                "public_ip": (server["public_net"]["ipv4"] or {}).get("ip"),
                "status": server["status"],
                "labels": server["labels"],
                "networks": [networks[nic["network"]] for nic in server["private_net"]],
            }
            for server in servers
        ],
        "load_balancers": [
            {
                "name": balancer["name"],
                "private_ip": next((nic["ip"] for nic in balancer["private_net"]), None),
                "public_ip": balancer["public_net"]["ipv4"]["ip"] if balancer["public_net"]["enabled"] else None,
                "type": balancer["load_balancer_type"]["name"],
                "labels": balancer["labels"],
                "targets": sorted(
                    (_target(target, names) for target in _resolved(balancer["targets"])),
                    key=lambda target: str(target["name"]),
                ),
            }
            for balancer in _all("load_balancers")
        ],
        "volumes": [
            {"name": volume["name"], "size": volume["size"], "status": volume["status"]} for volume in _all("volumes")
        ],
    }


def _resolved(targets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Servers and addresses, those that label selectors match among them."""
    return [found for target in targets for found in target.get("targets", [target])]


def _target(target: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    """``health`` is by listen port."""
    return {
        "name": target["ip"]["ip"] if target["type"] == "ip" else names.get(target["server"]["id"]),
        "health": {str(seen["listen_port"]): seen["status"] for seen in target["health_status"]},
    }


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show what runs."""
    found = _summary()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for server in found["servers"]:
        roles = ", ".join(sorted(key.removeprefix("role-") for key in server["labels"] if key.startswith("role-")))
        address = server["public_ip"] or "-"
        print(f"{server['name']:<16} {server['status']:<10} {server['private_ip'] or '-':<15} {address:<16} {roles}")
    for balancer in found["load_balancers"]:
        addresses = f"{balancer['private_ip'] or '-':<15} {balancer['public_ip'] or '-':<16}"
        seen = "; ".join(f"{target['name']} {_worst(target['health'])}" for target in balancer["targets"])
        print(f"{balancer['name']:<16} {balancer['type']:<10} {addresses} {seen or 'no targets'}")


def _worst(health: dict[str, str]) -> str:
    """What holds of a target for all services together."""
    return next((status for status in ("unhealthy", "unknown", "healthy") if status in health.values()), "no services")


@app.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
def execute(host: str, command: Annotated[list[str], typer.Argument()]) -> None:
    """Run a command as root on a server, around SSH."""
    found = lifecycle.api(f"/servers?name={host}")["servers"]
    if not found:
        raise CommandError(f"no server is called {host}; ./bulwark status lists them")
    address = engine.find()
    if address:
        os.environ["DOCKER_HOST"] = address
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    words = ["docker", "exec", "-i", *terminal, container_name(found[0]["id"]), *command]
    os.execvp("docker", words)  # noqa: S606 because no shell is wanted


@app.command()
def forward(port: int, goal: Path) -> None:
    """Lead a port of this machine to a Unix socket, until interrupted (internal: the launcher's open uses it)."""
    from lab.forward import forward as lead

    lead(port, goal, lambda: print(f"http://127.0.0.1:{port}/   until Ctrl-C", flush=True))


@app.command()
def console() -> None:
    """Print where a browser finds the console. The link works once, within two minutes."""
    invitation = lifecycle.api("/_lab/console/invitations", "POST", settings.MANAGEMENT_URL)
    print(settings.MANAGEMENT_URL + str(invitation["path"]))


@app.command()
def report(path: Path) -> None:
    """Print what verify.yml found, a line for each thing it checked with the hosts it checked it on."""
    hosts: dict[str, list[str]] = {}
    failed: list[str] = []
    written = json.loads(path.read_text())
    for found in written["checks"]:
        hosts.setdefault(found["check"], []).append(found["host"])
        if not found["ok"]:
            failed.append(f"FAILED  {found['check']} on {found['host']}: {found['detail']}")
    print("Verified:")
    for check, on in hosts.items():
        print(f"  {check:<58} {len(on)} host{'s' if len(on) > 1 else ''}")
    for line in written["summary"]:
        print(f"  {line}")
    if failed:
        raise CommandError("\n".join(failed))


def main() -> None:
    """Run one command; a failure is one sentence on standard error and exit code 1."""
    try:
        app()
    except (CommandError, DriverError) as error:
        print(f"bulwark: {error}", file=sys.stderr)
        sys.exit(1)
