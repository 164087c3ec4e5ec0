"""See to it that the Docker daemon that runs is the one the files describe, and that it runs containers.

Prints a line for everything that differs, and with `--repair` mends it and then runs a container. Lines that begin with
"note:" are for people: nothing here changes what they tell. Fails with one sentence.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

DECLARED = Path("/etc/docker/daemon.json")
# What the daemon was started with, kept by its unit; systemd removes it when the daemon stops.
LOADED = Path("/run/bulwark-docker/daemon.json")

# Of what a reload brings to the daemon, what is likely to be set. It brings only what the new file sets: a setting that
# was taken out stays as it was until a restart.
RELOADABLE = {
    "debug",
    "insecure-registries",
    "labels",
    "live-restore",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "registry-mirrors",
    "shutdown-timeout",
}
RELOAD_SECONDS = 10
COMMAND_SECONDS = 60

PROOF_LABEL = "bulwark.proof"
NO_START = "the Docker daemon does not start (see `journalctl -u docker`)"
NO_CONTAINER = "the Docker daemon does not run a container (see `journalctl -u docker`)"
# The vendor's place, and the distributions'.
INITS = ("/usr/libexec/docker/docker-init", "/usr/bin/docker-init", "/usr/bin/tini-static")


class RefusedError(Exception):
    """What a person has to know; the message says it."""


def run(*words: str, feed: bytes = b"", fatal: str = "") -> str:
    """Run a program and return what it printed, or nothing when it failed, unless `fatal` says what that means."""
    try:
        done = subprocess.run(words, input=feed, capture_output=True, timeout=COMMAND_SECONDS, check=False)
        code, said = done.returncode, (done.stderr or done.stdout).decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        code, said = 1, f"no answer within {COMMAND_SECONDS} s"
    if code == 0:
        return done.stdout.decode(errors="replace").strip()
    if fatal:
        raise RefusedError(f"{fatal}: {said[-600:]}")
    return ""


def unit(name: str) -> dict[str, str]:
    """What systemd knows of a unit."""
    names = ("ActiveState", "UnitFileState", "NeedDaemonReload", "MainPID")
    lines = run("systemctl", "show", name, f"--property={','.join(names)}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def settings(path: Path) -> dict[str, object] | None:
    """Settings in a file, None where there are none to read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def changed_settings() -> set[str] | None:
    """Which settings the daemon has not got from the file yet; None when there is no telling."""
    loaded, declared = settings(LOADED), settings(DECLARED)
    if loaded is None or declared is None:
        return None
    return {key for key in loaded.keys() | declared.keys() if loaded.get(key) != declared.get(key)}


def replaced(process: str) -> bool:
    """Whether the program of a process is no longer the one that is installed."""
    try:
        return os.readlink(f"/proc/{process}/exe").endswith(" (deleted)")
    except OSError:
        return False


def reload_settings() -> bool:
    """Have the running daemon read its file again; whether it says that it did."""
    since = f"{time.time():.6f}"
    run("systemctl", "reload", "docker.service")
    # It prints events as they come, without an end: the time limit is for a daemon that refuses the file.
    words = ["timeout", str(RELOAD_SECONDS), "docker", "events", "--since", since, "--filter", "event=reload"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as events:
        line = events.stdout.readline() if events.stdout else b""
        events.terminate()
    return bool(line)


def restart() -> None:
    """Start the daemon anew, or for the first time."""
    # However often it was restarted lately, systemd must not refuse this time.
    run("systemctl", "reset-failed", "docker.service")
    try:
        run("systemctl", "restart", "docker.service", fatal=NO_START)
    except RefusedError as error:
        # systemd only says that it did not work.
        words = [
            "--unit=docker.service",
            "--grep=failed to start daemon|unable to configure",
            "--lines=1",
            "--output=cat",
        ]
        why = run("journalctl", *words)
        if why:
            raise RefusedError(f"{NO_START}: {why}") from error
        raise


def see_to_daemon(repair: bool) -> list[str]:
    """What differs between the daemon that runs and the files, mended if wanted."""
    told = []
    containerd, docker = unit("containerd.service"), unit("docker.service")
    if containerd["ActiveState"] != "active":
        told.append("containerd does not run")
        if repair:
            run("systemctl", "start", "containerd.service", fatal="containerd does not start")
    if docker["NeedDaemonReload"] == "yes":
        told.append("systemd has not read the unit")
        if repair:
            run("systemctl", "daemon-reload", fatal="systemd does not read its units")
    if docker["UnitFileState"] != "enabled":
        told.append("the daemon does not start with the server")
        if repair:
            run("systemctl", "enable", "docker.service", fatal="the unit cannot be enabled")
    running = docker["ActiveState"] == "active"
    changed = changed_settings()
    if not running:
        told.append("the daemon does not run")
    elif changed is None:
        told.append("the daemon runs with settings that nobody has noted")
    elif changed:
        told.append(f"the daemon has not read: {', '.join(sorted(changed))}")
    elif replaced(docker["MainPID"]):
        told.append("the daemon runs from a program that was replaced")
    else:
        return told
    if repair:
        reloadable = {key for key in settings(DECLARED) or {} if key in RELOADABLE}
        if running and changed and changed <= reloadable and not replaced(docker["MainPID"]) and reload_settings():
            LOADED.write_bytes(DECLARED.read_bytes())
        else:
            # With live-restore read first, a restart leaves containers alone even if the daemon was started without.
            if running:
                reload_settings()
            restart()
    return told


def see_to_group(users: list[str], repair: bool) -> list[str]:
    """Members of the group whose members are as good as root."""
    entry = run("getent", "group", "docker")
    members = {name for name in entry.split(":")[-1].split(",") if name}
    if members == set(users):
        return []
    if repair:
        run("gpasswd", "--members", ",".join(users), "docker", fatal="the members of the group docker cannot be set")
    return [f"members of the group docker: {', '.join(sorted(members)) or 'none'} -> {', '.join(users) or 'none'}"]


def see_to_networks(wanted: list[str], repair: bool) -> list[str]:
    """Networks, as NAME=SUBNET, that are there before anybody makes them with addresses nobody knows beforehand."""
    told = []
    for name, _, subnet in (entry.partition("=") for entry in wanted):
        shown = run("docker", "network", "inspect", name)
        found = [config.get("Subnet") for config in json.loads(shown)[0]["IPAM"]["Config"] or []] if shown else []
        if shown and subnet not in found:
            raise RefusedError(
                f"the network {name} has {', '.join(map(str, found)) or 'no addresses'}, and docker_networks says "
                f"{subnet}: stop its containers, remove it (docker network rm {name}) and run again"
            )
        if not shown:
            told.append(f"there is no network {name}")
            if repair:
                words = ["docker", "network", "create", f"--subnet={subnet}", name]
                run(*words, fatal=f"the network {name} cannot be made")
    return told


def prove() -> list[str]:
    """Run a container, and again after a restart when rules of Docker's were missing: it makes them when it starts."""
    try:
        run_container()
    except RefusedError as error:
        # For nothing else: a daemon that fails for another reason might not come back.
        if "iptables" not in str(error):
            raise
        restart()
        run_container()
        return ["somebody had taken away the rules by which Docker forwards packets"]
    return []


def run_container() -> None:
    """Run a container with a network and a port, of an image that needs no registry: the engine's own static init."""
    program = next((place for place in INITS if os.path.exists(place)), None)
    if program is None:
        raise RefusedError(
            f"there is none of {', '.join(INITS)} to run in a container: install Docker's packages again"
        )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(os.path.realpath(program), "init")
    words = ["--rm", "--log-driver=none", "--publish=127.0.0.1::1", f"--label={PROOF_LABEL}"]
    try:
        image = run(
            "docker", "import", f"--change=LABEL {PROOF_LABEL}=", "-", feed=packed.getvalue(), fatal=NO_CONTAINER
        )
        run("docker", "run", *words, image, "/init", "--version", fatal=NO_CONTAINER)
    finally:
        # Also what a run that was killed has left.
        run("docker", "container", "prune", "--force", f"--filter=label={PROOF_LABEL}")
        run("docker", "image", "prune", "--force", f"--filter=label={PROOF_LABEL}")


def notes() -> list[str]:
    """What has not reached the default network. Docker keeps it as it is while containers run on it."""
    wanted = settings(DECLARED) or {}
    shown = run("docker", "network", "inspect", "bridge")
    if not shown or "bip" not in wanted:
        return []
    found = json.loads(shown)[0]
    address, length = str(wanted["bip"]).split("/")
    subnet = found["IPAM"]["Config"][0]
    mtu = found["Options"].get("com.docker.network.driver.mtu", "1500")
    same = subnet.get("Gateway") == address and subnet["Subnet"].endswith(f"/{length}") and mtu == str(wanted["mtu"])
    if same:
        return []
    return [
        f"note: the default network still has {subnet['Subnet']} and MTU {mtu}, since containers run; stop them, "
        "restart Docker and start them again when it suits you"
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repair", action="store_true")
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("users", nargs="*")
    options = parser.parse_args()
    if shutil.which("dockerd") is None:
        print("Docker is not installed")  # in check mode
        return
    # The daemon of this host, whatever the caller's environment or contexts say.
    os.environ["DOCKER_HOST"] = "unix:///run/docker.sock"
    try:
        told = see_to_daemon(options.repair) + see_to_group(options.users, options.repair)
        told += see_to_networks(options.network, options.repair)
        if options.repair:
            told += prove()
        told += notes()
    except RefusedError as error:
        sys.exit(str(error))
    print("\n".join(told))


main()
