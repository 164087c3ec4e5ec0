# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run about the origin certificate: at Cloudflare and at Hetzner, with the environment's lock while it changes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..hcloud_client import Client as HcloudClient
from ..infrastructure.lock import Lock, locked
from ..infrastructure.plan import ownership
from ..load_balancer import pem
from ..load_balancer.certificates import Record, delete_unused, list_certificates, upload
from . import certificates, keys, pairs, run
from .certificates import REQUEST_TYPES, Plan, Step, Wanted
from .client import Client, CloudflareError, RefusedError
from .pairs import LABEL, PATH, Issued


class Rotation:
    """``changed`` is for failures: whether something may have been changed before."""

    def __init__(self, wanted: Wanted, state: str, client: Client, hcloud: HcloudClient) -> None:
        self._wanted = wanted
        self._state = state
        self._client = client
        self._hcloud = hcloud
        self._lock: Lock | None = None
        self._plan = Plan((), None)
        self._made: Record | None = None
        self.changed = False

    def carry_out(self, check_mode: bool, lock_timeout: float) -> dict[str, Any]:
        """The module's result. Raises what the client, Hetzner's, the lock and certificates raise."""
        result = run.carry_out(self._client, True, self._look, self._apply)
        if result["changed"] and not check_mode:
            with locked(self._hcloud, self._wanted.environment, lock_timeout) as self._lock:
                # Reads again, since another run may have ended meanwhile.
                result = run.carry_out(self._client, False, self._look, self._apply)
        told = {"still_used": list(self._plan.left), "warnings": list(self._plan.warnings)}
        return result | {"certificate": self._certificate()} | told

    def _look(self, zone_id: str) -> Sequence[Step]:
        wanted = self._wanted
        issued, records = pairs.read_issued(self._client, zone_id, wanted.marker), list_certificates(self._hcloud)
        now = self._hcloud.now()
        actual = pairs.match(issued, records, wanted.environment, now)
        if self._state == "present":
            self._plan = certificates.plan_present(wanted, actual, now)
        elif self._state == "tidied":
            self._plan = certificates.plan_tidied(wanted, actual, now)
        else:
            self._plan = certificates.plan_absent(wanted, actual)
        return self._plan.steps

    def _apply(self, _zone_id: str, steps: Sequence[Step]) -> None:
        for step in steps:
            if self._lock:
                self._lock.check()
            self.changed = True
            revoke = partial(self._revoke, step.issued)
            if step.record:
                # What has been used since it was looked at stays, at Cloudflare too. It is revoked first, so that a run
                # that ends between finds it again.
                delete_unused(self._hcloud, step.record, revoke)
            elif step.issued:
                revoke()
            else:
                self._made = self._issue()

    def _issue(self) -> Record:
        """A new key, a certificate for it, and both to Hetzner. The key is nowhere else."""
        wanted = self._wanted
        request = keys.make(wanted.key_type, wanted.names)
        body = {
            "csr": request.csr,
            "hostnames": wanted.names,
            "request_type": REQUEST_TYPES[wanted.key_type],
            "requested_validity": wanted.validity,
        }
        issued = self._client.request("POST", PATH, body=body).result
        try:
            chain = pem.parse(issued["certificate"])
            # That it is valid by now, only Cloudflare's clock can say.
            pem.check(chain, request.private_key, chain.leaf.not_valid_before_utc)
            pem.check_names(chain.names, wanted.names)
            labels = ownership(wanted.environment) | {LABEL: str(issued["id"])}
            name = f"{wanted.name}-{chain.fingerprint[:12]}"
            return upload(self._hcloud, name, issued["certificate"], request.private_key, labels)
        except Exception:
            # Of no use without its key. Where this fails too, the next run does it.
            with suppress(CloudflareError):
                self._client.request("DELETE", f"{PATH}/{issued['id']}")
            raise

    def _revoke(self, issued: Issued | None) -> None:
        if issued is None:
            return  # it was revoked before
        try:
            self._client.request("DELETE", f"{PATH}/{issued.id}")
        except RefusedError as error:
            # An earlier try, whose answer was lost, may have revoked it: look again.
            error.outdated = error.status in (400, 404, 409)
            raise

    def _certificate(self) -> dict[str, Any] | None:
        record = self._made or (self._plan.current.record if self._plan.current else None)
        if record:
            return certificates.describe(record, self._wanted.marker)
        if self._state == "absent":
            return None
        nothing = dict.fromkeys(("name", "id", "fingerprint", "expires", "cloudflare_id"))
        return {**nothing, "hostnames": sorted(self._wanted.hostnames)}
