# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told of an alert: Alertmanager's routes and receivers. Secrets lie in files of their own, read at each use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .declared import MAIL, SEVERITIES, SLACK, WEBHOOK, Receivers

Document = dict[str, Any]

#: Where the container sees its secrets.
SECRETS = "/etc/alertmanager/secrets"
#: Receivers: whom alerts without a known severity go to, and the one that hears that all is well.
NOBODY, HEARTBEAT = "nobody", "heartbeat"
#: The alert that always fires.
WATCHDOG = "Watchdog"

#: What follows from what: while an alert that matches the first fires, those that match the second are kept back where
#: these labels are the same. docs/alerts.md has the reasons.
INHIBITIONS: tuple[tuple[Sequence[str], Sequence[str], Sequence[str]], ...] = (
    (
        ['alertname="HostDown"'],
        ['alertname=~"Host.+|Postgres.+|ApplicationServerFailing|TargetDown"', 'alertname!="HostDown"'],
        ["env", "instance"],
    ),
    (
        ['alertname="HostDown"', 'role="bastion"'],
        [
            'alertname=~"PublicUrlFailing|PostgresArchivingStalled|PostgresBackupUnknown'
            '|AlertmanagerNotificationsFailing"'
        ],
        ["env"],
    ),
    (['alertname="HostDiskFull"'], ['alertname="HostDiskFillsSoon"'], ["env", "instance", "mountpoint"]),
    (
        ['alertname="PostgresDown"'],
        ['alertname="HostUnitFailed"', 'name="bulwark-postgres.service"'],
        ["env", "instance"],
    ),
    (['alertname="PostgresReplicationStopped"'], ['alertname="PostgresReplicationLagging"'], ["env", "instance"]),
    (['alertname="PostgresSlotLost"'], ['alertname="PostgresSlotHoldsWal"'], ["env", "instance", "slot_name"]),
    (['alertname="PostgresArchivingStalled"'], ['alertname="PostgresBackupUnknown"'], ["env", "instance"]),
)


def alertmanager(receivers: Receivers) -> Document:
    """alertmanager.yml. Without receivers alerts are shown, and nobody is told."""
    told = [severity for severity in SEVERITIES if receivers.of(severity)]
    watchdog: Document = {"receiver": NOBODY, "matchers": [f'alertname="{WATCHDOG}"']}
    if receivers.heartbeat_url:
        watchdog |= {"receiver": HEARTBEAT, "group_wait": "0s", "group_interval": "1m", "repeat_interval": "4m"}
    return {
        "route": {
            "receiver": NOBODY,
            "group_by": ["alertname", "env"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": [
                watchdog,
                *(
                    {
                        "receiver": severity,
                        "matchers": [f'severity="{severity}"'],
                        "repeat_interval": "4h" if severity == "critical" else "24h",
                    }
                    for severity in told
                ),
            ],
        },
        "inhibit_rules": [_inhibit(*one) for one in INHIBITIONS],
        "receivers": [
            {"name": NOBODY},
            *(_receiver(receivers, severity) for severity in told),
            *(_heartbeat() if receivers.heartbeat_url else []),
        ],
    }


def _inhibit(source: Sequence[str], target: Sequence[str], equal: Sequence[str]) -> Document:
    return {"source_matchers": list(source), "target_matchers": list(target), "equal": list(equal)}


def secrets(receivers: Receivers) -> dict[str, str]:
    """Contents of the files with secrets, by name."""
    found = {f"webhook_{name}": url for name, url in receivers.webhooks.items()}
    if receivers.mail:
        found["mail_password"] = receivers.mail.password
    if receivers.slack_url:
        found["slack_url"] = receivers.slack_url
    if receivers.heartbeat_url:
        found["heartbeat_url"] = receivers.heartbeat_url
    return found


def expected_routes(receivers: Receivers) -> dict[tuple[str, ...], str]:
    """Which receiver has to get alerts with these labels: what amtool is asked before the file is put in place."""
    return {
        **{(f"severity={severity}",): severity if receivers.of(severity) else NOBODY for severity in SEVERITIES},
        (f"alertname={WATCHDOG}", "severity=none"): HEARTBEAT if receivers.heartbeat_url else NOBODY,
    }


def _receiver(receivers: Receivers, severity: str) -> Document:
    names = receivers.of(severity)
    document: Document = {"name": severity}
    if MAIL in names and receivers.mail:
        mail = receivers.mail
        document["email_configs"] = [
            {
                "to": ", ".join(mail.to),
                "from": mail.sender,
                "smarthost": mail.smarthost,
                "auth_username": mail.username,
                "auth_password_file": f"{SECRETS}/mail_password",
                "require_tls": True,
                "send_resolved": True,
            }
        ]
    if SLACK in names:
        slack: Document = {"api_url_file": f"{SECRETS}/slack_url", "send_resolved": True}
        if receivers.slack_channel:
            slack["channel"] = receivers.slack_channel
        document["slack_configs"] = [slack]
    hooks = [name for name in receivers.webhooks if f"{WEBHOOK}:{name}" in names]
    if hooks:
        document["webhook_configs"] = [
            {"url_file": f"{SECRETS}/webhook_{name}", "send_resolved": True} for name in hooks
        ]
    return document


def _heartbeat() -> Sequence[Document]:
    hook = {"url_file": f"{SECRETS}/heartbeat_url", "send_resolved": False}
    return [{"name": HEARTBEAT, "webhook_configs": [hook]}]
