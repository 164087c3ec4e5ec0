"""The dnsmasq processes that answer DNS and DHCP in the lab's namespaces."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lab import settings
from lab.command import CommandError, end, run

_FOLDER = settings.STATE / "dnsmasq"
#: As root, since no other user may enter the state folder.
_COMMON = ["user=root", "group=root", "bind-dynamic", "no-hosts", "conf-file=", "log-facility=/dev/null"]
_STOP_SECONDS = 4


def _config(name: str) -> Path:
    return _FOLDER / f"{name}.conf"


def _pid_file(name: str) -> Path:
    return _FOLDER / f"{name}.pid"


def hosts_file(name: str) -> Path:
    """Where an instance's addresses by hardware address stand; read again by ``reload``."""
    return _FOLDER / f"{name}.hosts"


def names_file(name: str) -> Path:
    """Where an instance's addresses by name stand, as in /etc/hosts; read again by ``reload``."""
    return _FOLDER / f"{name}.names"


def write_names(path: Path, content: str) -> bool:
    """Returns whether it was another one before."""
    if path.exists() and path.read_text() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(content)
    unfinished.replace(path)
    return True


def pid(name: str) -> int | None:
    """The process of this instance, None when it does not run."""
    try:
        number = int(_pid_file(name).read_text())
        words = Path(f"/proc/{number}/cmdline").read_text()
    except (OSError, ValueError):
        return None
    return number if str(_config(name)) in words else None


def ensure(name: str, lines: list[str], namespace: str | None = None) -> None:
    """Have an instance run in a namespace (None: the machine's own) with exactly these lines of configuration."""
    wanted = "\n".join([*_COMMON, f"pid-file={_pid_file(name)}", *lines]) + "\n"
    if pid(name) is not None and _config(name).read_text() == wanted:
        return
    stop(name)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _config(name).write_text(wanted)
    hosts_file(name).touch()
    enter = ["ip", "netns", "exec", namespace] if namespace else []
    run(*enter, "dnsmasq", f"--conf-file={_config(name)}")
    if pid(name) is None:
        raise CommandError(f"dnsmasq {name}: ended at once; try dnsmasq --test --conf-file={_config(name)}")


def reload(name: str) -> None:
    number = pid(name)
    if number is None:
        raise CommandError(f"dnsmasq {name}: does not run")
    os.kill(number, signal.SIGHUP)


def stop(name: str) -> None:
    if not end(lambda: pid(name), _STOP_SECONDS):
        raise CommandError(f"dnsmasq {name} (process {pid(name)}) does not end")
    _pid_file(name).unlink(missing_ok=True)


def stop_all() -> None:
    """Stop every instance of which a configuration is there."""
    for config in _FOLDER.glob("*.conf"):
        stop(config.stem)
