# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on the host besides the rules: where things are, the guard's unit, and the way back. Pure."""

from __future__ import annotations

GUARD = "/etc/bulwark/guard.nft"
UNIT = "/etc/systemd/system/bulwark-guard.service"
ROLLBACK = "/etc/bulwark/firewall-rollback"
#: Copies of the last confirmed files; there while a change waits to be confirmed. On the disk that is there at boot.
PREVIOUS = "/etc/bulwark/firewall-previous"
#: Tells a change that waits from one that a reboot has cut off: /run is empty after a boot.
ARMED = "/run/bulwark-firewall-armed"
LOCK = "/run/bulwark-firewall.lock"
TIMER = "bulwark-firewall-rollback"
MASK = "/etc/systemd/system/nftables.service"

USER_RULES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
DEFAULTS = "/etc/default/ufw"
CONF = "/etc/ufw/ufw.conf"
#: Everything the way back restores, by the name of its copy.
KEPT = {
    "guard.nft": GUARD,
    "user.rules": USER_RULES[4],
    "user6.rules": USER_RULES[6],
    "default": DEFAULTS,
    "ufw.conf": CONF,
}
UFW_RAN = "ufw-ran"
UFW_INIT = "/lib/ufw/ufw-init"

UNIT_TEXT = f"""\
# Written by the module host_firewall; changes by hand are undone.
[Unit]
Description=Firewall that holds before, beside and without UFW and Docker
DefaultDependencies=no
After=local-fs.target
Wants=network-pre.target
Before=network-pre.target ufw.service docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
# A change that nobody had confirmed when the host went down is not the one to boot with.
ExecStartPre=-/bin/sh {ROLLBACK} boot
ExecStart=/usr/sbin/nft --file {GUARD}
ExecReload=/usr/sbin/nft --file {GUARD}
# No ExecStop: stopping a unit is no reason to stand open.

[Install]
WantedBy=sysinit.target
"""

ROLLBACK_TEXT = f"""\
#!/bin/sh
# Written by the module host_firewall; changes by hand are undone.
# Puts back the last confirmed rules, unless a change has been confirmed meanwhile. "boot": the files only, before
# anything has read them. Every step can be repeated, so it may be cut off anywhere.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
previous={PREVIOUS}
if [ "${{1:-}}" = boot ]; then
  # A change of this boot waits for its confirmation or its timer.
  if [ -e {ARMED} ]; then exit 0; fi
else
  exec 9>{LOCK}
  flock 9
fi
if [ ! -d "$previous" ]; then exit 0; fi

restore() {{ # copy, place
  if [ -e "$previous/$1" ]; then
    cp -p "$previous/$1" "$2.restored" && mv -f "$2.restored" "$2"
  fi
}}
{"".join(f"restore {name} {path}{chr(10)}" for name, path in KEPT.items())}
if [ "${{1:-}}" != boot ]; then
  nft --file {GUARD}
  if [ -e "$previous/{UFW_RAN}" ]; then
    {UFW_INIT} force-reload
  else
    {UFW_INIT} force-stop
  fi
fi
rm -rf "$previous.done"
mv "$previous" "$previous.done"
rm -rf "$previous.done" {ARMED}
"""
