# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of the vault change when a secret is rotated. Pure, but for what is made at random.

Some secrets are replaced at once: their users are told within the same run. Others have users that are told by somebody
else, a deployment: there the old and the new one hold at the same time. These go in steps, each of which finds, when it
is repeated, that it has been done:

=====================  ==========================================  ==============================  ==================
secret                 new                                         use                             retire
=====================  ==========================================  ==============================  ==================
application            the other login gets a password, and is     (by deploying)                  the former login's
                       told to the application from now on                                         password changes
edge                   beside the old one, as …_next               sent by the edge; old: …_former  …_former goes
database_authority     trusted beside the old one, as …_next_…     signs; the old one is trusted    …_former_… goes
=====================  ==========================================  ==============================  ==================
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

#: The two logins of the application, which own the same things, see docs/rotation.md.
LOGINS = ("rails_app", "rails_app_alternate")
PASSWORDS = "bulwark_database_passwords"
LOGIN, FORMER_LOGIN = "bulwark_database_login", "bulwark_database_login_former"
EDGE = "bulwark_edge_secret"
AUTHORITY = "bulwark_database_authority"

#: An entry: its name, or that of a mapping and a key in it.
Path = tuple[str, ...]

_AT_ONCE: Mapping[str, Path] = {
    "replicator": (PASSWORDS, "replicator"),
    "rewind": (PASSWORDS, "rewind"),
    "metrics": (PASSWORDS, "metrics"),
    "grafana": ("bulwark_grafana_password",),
}
_IN_STEPS = ("application", "edge", "database_authority")
KINDS = (*_AT_ONCE, *_IN_STEPS)


class RotationError(ValueError):
    """Nothing is to be changed; the message is a sentence that says what to do."""


@dataclass(frozen=True)
class Edit:
    """One entry of the vault. With ``source`` it takes over that one, which goes; else it gets ``value``, or goes
    where that is None.
    """

    path: Path
    value: str | None = field(default=None, repr=False)
    source: Path = ()
    secret: bool = True

    @property
    def told(self) -> str:
        name = ".".join(self.path)
        if self.source:
            return f"{'.'.join(self.source)} becomes {name}"
        return f"{name} goes" if self.value is None else f"{name} is new"


@dataclass(frozen=True)
class Makers:
    """What makes new secrets: a password, and the key and certificate of an authority."""

    password: Callable[[], str]
    authority: Callable[[], tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    """Which secrets go which step."""

    new: Sequence[str] = ()
    use: Sequence[str] = ()
    retire: Sequence[str] = ()

    @property
    def all(self) -> list[str]:
        return [*self.new, *self.use, *self.retire]


def plan(present: Mapping[Path, str], asked: Asked, makers: Makers) -> list[Edit]:
    """What to change in a vault that has these entries; only the values of LOGIN and FORMER_LOGIN count. Nothing for a
    step that has been done. Raises RotationError.
    """
    for kind in asked.all:
        if kind not in KINDS:
            raise RotationError(f"{kind} is no secret that can be made here: name some of {', '.join(KINDS)}.")
        if asked.all.count(kind) > 1:
            raise RotationError(
                f"{kind} is named twice: one step at a time, since there is something to do in between."
            )
    for kind in (*asked.use, *asked.retire):
        if kind in _AT_ONCE:
            raise RotationError(f"{kind} is replaced at once, by new={kind}: there is no second step.")
    if "application" in asked.use:
        raise RotationError("application is used as soon as it is deployed after new=application: leave use out.")
    edits: list[Edit] = []
    for kind in asked.new:
        edits += _new(kind, present, makers)
    for kind in asked.use:
        edits += _use(kind, present)
    for kind in asked.retire:
        edits += _retire(kind, present, makers)
    return edits


def _new(kind: str, present: Mapping[Path, str], makers: Makers) -> list[Edit]:
    if kind in _AT_ONCE:
        _must_be(present, _AT_ONCE[kind])
        return [Edit(_AT_ONCE[kind], makers.password())]
    if kind == "application":
        _must_be(present, (PASSWORDS, LOGINS[0]))
        if (FORMER_LOGIN,) in present:
            return []
        login = _login(present, LOGIN, LOGINS[0])
        other = LOGINS[1 - LOGINS.index(login)]
        return [
            Edit((PASSWORDS, other), makers.password()),
            Edit((LOGIN,), other, secret=False),
            Edit((FORMER_LOGIN,), login, secret=False),
        ]
    if kind == "edge":
        _must_be(present, (EDGE,))
        return [] if _begun(present, EDGE) else [Edit((f"{EDGE}_next",), makers.password())]
    _must_be(present, (f"{AUTHORITY}_key",))
    _must_be(present, (f"{AUTHORITY}_certificate",))
    if _begun(present, AUTHORITY, "_certificate"):
        return []
    key, certificate = makers.authority()
    return [Edit((f"{AUTHORITY}_next_key",), key), Edit((f"{AUTHORITY}_next_certificate",), certificate)]


def _use(kind: str, present: Collection[Path]) -> list[Edit]:
    name, end = (EDGE, "") if kind == "edge" else (AUTHORITY, "_certificate")
    if (f"{name}_next{end}",) not in present:
        if (f"{name}_former{end}",) in present:
            return []
        raise RotationError(f"There is no new {kind} that could be used: begin with new={kind}.")
    edits = [
        Edit((f"{name}_former{end}",), source=(f"{name}{end}",)),
        Edit((f"{name}{end}",), source=(f"{name}_next{end}",)),
    ]
    if kind == "database_authority":
        edits.append(Edit((f"{AUTHORITY}_key",), source=(f"{AUTHORITY}_next_key",)))
    return edits


def _retire(kind: str, present: Mapping[Path, str], makers: Makers) -> list[Edit]:
    if kind == "application":
        if (FORMER_LOGIN,) not in present:
            return []
        # It stays as a user, with a password that nobody has been told.
        former = _login(present, FORMER_LOGIN, "")
        return [Edit((PASSWORDS, former), makers.password()), Edit((FORMER_LOGIN,))]
    name, end = (EDGE, "") if kind == "edge" else (AUTHORITY, "_certificate")
    if (f"{name}_next{end}",) in present:
        raise RotationError(
            f"The new {kind} is not used yet: go on with use={kind}, and retire the old one after that."
        )
    return [Edit((f"{name}_former{end}",))] if (f"{name}_former{end}",) in present else []


def _login(present: Mapping[Path, str], name: str, default: str) -> str:
    login = present.get((name,), default)
    if login not in LOGINS:
        raise RotationError(f"{name} in the vault must be one of {', '.join(LOGINS)}: correct it.")
    return login


def _begun(present: Collection[Path], name: str, end: str = "") -> bool:
    return (f"{name}_next{end}",) in present or (f"{name}_former{end}",) in present


def _must_be(present: Collection[Path], path: Path) -> None:
    if path not in present:
        raise RotationError(
            f"The vault has no {'.'.join(path)}, so there is nothing to replace: leave that secret out."
        )
