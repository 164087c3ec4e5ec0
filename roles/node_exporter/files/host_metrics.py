#!/usr/bin/python3
"""Leaves what node_exporter does not measure as text for it: waiting updates and reboots, the end of certificates.

host-metrics [NAME=CERTIFICATE ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

METRICS = Path("/var/lib/bulwark/metrics/host.prom")
REBOOT_REQUIRED = Path("/run/reboot-required")
#: What an upgrade would install, from the lists that are there: no network, no lock, nothing written.
SIMULATE = ["apt-get", "--simulate", "-o", "Debug::NoLocking=true", "-o", "APT::Get::Show-User-Simulation-Note=false"]
SECONDS = 120

HELP = {
    "bulwark_reboot_required": "Whether an update waits for a reboot.",
    "bulwark_pending_updates": "Packages that an upgrade would install.",
    "bulwark_pending_security_updates": "Those of them that come from the distribution's security updates.",
    "bulwark_certificate_expiry_timestamp_seconds": "When a certificate ends; 0 where there is none to read.",
    "bulwark_host_metrics_timestamp_seconds": "When this was measured.",
}


def updates(said: str) -> tuple[int, int]:
    """How many packages a simulated upgrade would install, and how many of them for security. Pure."""
    lines = [line for line in said.splitlines() if line.startswith("Inst ")]
    # Inst openssl [3.5.1-1] (3.5.1-1+deb13u1 Debian-Security:13/stable-security [arm64])
    # Inst openssl [3.0.13-0ubuntu3.4] (3.0.13-0ubuntu3.5 Ubuntu:24.04/noble-security [arm64])
    return len(lines), sum("-security" in line.partition("(")[2].lower() for line in lines)


def end_of(said: str) -> float:
    """When a certificate ends, from what openssl prints (notAfter=2027-01-02 03:04:05Z). Pure."""
    text = said.strip().removeprefix("notAfter=")
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def out_of(words: list[str]) -> str | None:
    """What a program prints, None when it fails or hangs."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def certificate_end(path: str) -> float:
    """When the certificate in a file ends, 0 where there is none to read."""
    said = out_of(["openssl", "x509", "-in", path, "-noout", "-enddate", "-dateopt", "iso_8601"])
    try:
        return end_of(said) if said else 0.0
    except ValueError:
        return 0.0


def measure(certificates: dict[str, str]) -> dict[str, float]:
    """All samples, by the metric with its labels. What cannot be learnt is left out."""
    samples = {"bulwark_reboot_required": float(REBOOT_REQUIRED.exists())}
    said = out_of([*SIMULATE, "dist-upgrade"])
    if said is not None:
        pending, security = updates(said)
        samples["bulwark_pending_updates"] = float(pending)
        samples["bulwark_pending_security_updates"] = float(security)
    for name, path in certificates.items():
        samples[f'bulwark_certificate_expiry_timestamp_seconds{{name="{name}"}}'] = certificate_end(path)
    samples["bulwark_host_metrics_timestamp_seconds"] = time.time()
    return samples


def text(samples: dict[str, float]) -> str:
    """Samples as Prometheus reads them. Pure."""
    lines: list[str] = []
    told = ""
    for key, value in samples.items():
        name = key.partition("{")[0]
        if name != told:
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge"]
            told = name
        lines.append(f"{key} {value:.0f}")
    return "\n".join(lines) + "\n"


def main() -> int:
    certificates = dict(word.split("=", 1) for word in sys.argv[1:])
    content = text(measure(certificates))
    # Never half a file: it is read at any moment.
    unfinished = METRICS.with_suffix(".new")
    unfinished.write_text(content)
    unfinished.chmod(0o644)
    unfinished.rename(METRICS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
