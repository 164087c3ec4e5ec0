# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time for each environment.

The lock is a placement group, which costs nothing and does nothing as long as no server is in it. Its name is unique in
the project, so the API itself decides who gets it. Its labels say who holds it and until when; the holder renews it as
long as it lives. One that has expired is deleted by its id and made anew: of several that try, one gets the name.

Times are those of the API's clock, so that controllers whose clocks differ agree.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..hcloud_client import APIException, Client, ClientError
from ..retries import unclear
from .apply import ApplyError

#: How long a lock holds without being renewed: the longest that a run has to wait after another one was killed.
LEASE = timedelta(seconds=60)
#: Seconds between renewals: one may fail without harm.
RENEWAL = 20.0
#: Times to try again after the lock was released or has expired, each of which somebody else may be faster at.
MAX_TRIES = 10
#: Seconds between two looks at a lock that another run holds.
LOOK = 5.0
_PATH = "/placement_groups"
#: A label's value cannot hold colons. https://docs.hetzner.cloud/reference/cloud#labels
_TIME = "%Y-%m-%dT%H.%M.%SZ"


class LockedError(ClientError):
    """Another run holds the lock; nothing was changed."""


@dataclass(frozen=True)
class _Holder:
    id: int
    run: str
    owner: str
    expires: datetime

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> _Holder:
        labels = data["labels"]
        try:
            expires = datetime.strptime(labels.get("expires", ""), _TIME).replace(tzinfo=UTC)
        except ValueError:
            # Somebody has changed its labels by hand: it counts from its creation.
            expires = datetime.fromisoformat(data["created"]) + LEASE
        return cls(data["id"], labels.get("run", ""), labels.get("owner", "unknown"), expires)


@contextmanager
def locked(client: Client, environment: str, patience: float) -> Iterator[Lock]:
    """Hold the environment's lock; ``patience`` is how many seconds to wait for another run to end.

    Raises :class:`LockedError` where it does not end.
    """
    lock = Lock(client, environment)
    lock.acquire(patience)
    ended = threading.Event()
    renewing = threading.Thread(target=lock.keep, args=(ended,), daemon=True)
    renewing.start()
    try:
        yield lock
    finally:
        ended.set()
        renewing.join()  # it is waiting for ``ended``, or for one answer, which is bounded
        lock.release()


class Lock:
    """The lock of one environment as this run sees it."""

    def __init__(self, client: Client, environment: str) -> None:
        self._client = client
        self._environment = environment
        self._name = f"bulwark-lock-{environment}"
        self._run = secrets.token_hex(8)
        self._id = 0
        self._good_until = 0.0  # on the monotonic clock

    def acquire(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        tries = 0
        while not self._taken():
            holder = self._holder()
            if holder and holder.run == self._run:  # ours, but the answer was lost
                self._id = holder.id
                return
            if holder and holder.expires >= self._client.now():
                if time.monotonic() >= deadline:
                    raise LockedError(
                        f"Environment {self._environment} is being changed by {holder.owner}, who holds the lock "
                        f"(placement group {self._name}) until {holder.expires:%Y-%m-%d %H:%M:%S} UTC and renews it "
                        "while running. Run again when that run has ended; if it was killed, after that time."
                    )
                self._client.sleep(LOOK)
                continue
            tries += 1
            if tries > MAX_TRIES:
                raise LockedError(f"The lock {self._name} cannot be taken: others keep taking it, or the API fails.")
            if holder:
                self._delete(holder.id)

    def check(self) -> None:
        """Raises :class:`ApplyError` once the lock may be another's."""
        if time.monotonic() > self._good_until:
            raise ApplyError(
                f"The lock of environment {self._environment} was lost, since the API could not be reached in time to "
                "renew it: run again."
            )

    def keep(self, ended: threading.Event) -> None:
        """Renew the lock again and again until ``ended``, or until it is lost."""
        while not ended.wait(RENEWAL):
            before = time.monotonic()
            try:
                self._client.request("PUT", f"{_PATH}/{self._id}", json={"labels": self._labels()})
            except APIException as error:
                if error.code == "not_found":
                    self._good_until = 0.0
                    return
            except OSError:
                pass  # the lease says how long that may go on
            else:
                self._good_until = before + LEASE.total_seconds()

    def release(self) -> None:
        """Whatever goes wrong here, the lock ends by itself soon, and the run's own outcome matters more."""
        with suppress(APIException, OSError):
            self._delete(self._id)

    def _taken(self) -> bool:
        """Try to take the lock."""
        before = time.monotonic()
        body = {"name": self._name, "type": "spread", "labels": self._labels()}
        self._good_until = before + LEASE.total_seconds()
        try:
            self._id = self._client.request("POST", _PATH, json=body)["placement_group"]["id"]
        except APIException as error:
            if error.code != "uniqueness_error" and not unclear(error):
                raise
        except OSError:
            pass  # it may be ours: the holder's name tells
        return self._id != 0

    def _holder(self) -> _Holder | None:
        return next((_Holder.parse(data) for data in self._client.list_all(_PATH, name=self._name)), None)

    def _delete(self, lock_id: int) -> None:
        try:
            self._client.request("DELETE", f"{_PATH}/{lock_id}")
        except APIException as error:
            if error.code != "not_found":
                raise

    def _labels(self) -> dict[str, str]:
        """Not the environment's own label: the lock is no part of what is declared, shown or deleted."""
        expires = self._client.now() + LEASE
        return {"managed-by": "bulwark", "run": self._run, "owner": _owner(), "expires": expires.strftime(_TIME)}


def _owner() -> str:
    """Who runs this, as the value of a label."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no name
        user = f"uid-{os.getuid()}"
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{user}.{socket.gethostname()}.{os.getpid()}")
    return text[-63:].strip("._-")
