"""Faults a person can switch on by name, each made of what the management interface orders anyway."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.cloudflare.account import Cloudflare
from lab.errors import not_found
from lab.faults import Fault, FaultPlan
from lab.object_storage.availability import Availability, Mode
from lab.operations.cloud import Cloud

HETZNER, CLOUDFLARE, OBJECT_STORAGE = "Hetzner's API", "Cloudflare's API", "object storage"


@dataclass(frozen=True)
class Preset:
    """Exactly one of ``fault`` and ``mode``, by what it is for."""

    id: str
    title: str
    words: str
    service: str
    fault: Fault | None = None
    mode: Mode | None = None


PRESETS = (
    Preset(
        "hetzner-slow",
        "Hetzner answers slowly",
        "Every request takes two seconds longer.",
        HETZNER,
        Fault("slow", delay=2.0),
    ),
    Preset(
        "hetzner-unreliable",
        "Every third request fails",
        "One request in three, by chance, is answered with 503 and changes nothing.",
        HETZNER,
        Fault("error", status=503, rate=1 / 3, message="the service is unavailable"),
    ),
    Preset(
        "hetzner-lost-answers",
        "Answers get lost",
        "Every second order (POST), by chance, is carried out, and the connection is cut before the answer.",
        HETZNER,
        Fault("lose_answer", method="POST", rate=0.5),
    ),
    Preset(
        "hetzner-away",
        "Hetzner is away",
        "Every connection is cut before anything happens. Servers and load balancers run on.",
        HETZNER,
        Fault("reset"),
    ),
    Preset(
        "cloudflare-away",
        "Cloudflare's API is away",
        "Every connection is cut before anything happens. The edge goes on serving users.",
        CLOUDFLARE,
        Fault("reset"),
    ),
    Preset(
        "object-storage-away",
        "Object storage is away",
        "Every request is answered with 503, as by a gateway with nothing behind it.",
        OBJECT_STORAGE,
        mode="away",
    ),
    Preset(
        "object-storage-refusing",
        "Object storage refuses the key",
        "Every request is answered with 403, as when the key was locked.",
        OBJECT_STORAGE,
        mode="refusing",
    ),
)


class Switchboard:
    """The faults of everything the lab plays, behind one set of switches."""

    def __init__(self, cloud: Cloud, availability: Availability | None, cloudflare: Cloudflare | None) -> None:
        self._availability = availability
        self.plans: dict[str, FaultPlan] = {HETZNER: cloud.faults}
        if cloudflare is not None:
            self.plans[CLOUDFLARE] = cloudflare.faults

    def offered(self) -> list[Preset]:
        """Those for what there is."""
        return [
            preset
            for preset in PRESETS
            if (preset.service in self.plans if preset.fault else self._availability is not None)
        ]

    def is_on(self, preset: Preset) -> bool:
        if preset.fault is None:
            return self._availability is not None and self._availability.mode == preset.mode
        return bool(self._numbers(preset))

    def switch(self, preset_id: str, on: bool) -> None:
        """Repeating it changes nothing. Raises CloudError when there is no such preset."""
        preset = next((preset for preset in self.offered() if preset.id == preset_id), None)
        if preset is None:
            raise not_found("fault", preset_id)
        if on == self.is_on(preset):
            return
        if preset.fault is None:
            if self._availability is not None and preset.mode is not None:
                self._availability.mode = preset.mode if on else "ok"
        elif on:
            self.plans[preset.service].add(preset.fault)
        else:
            for number in self._numbers(preset):
                del self.plans[preset.service].rules[number]

    def clear(self) -> None:
        """Nothing goes wrong on purpose any more, whoever ordered it."""
        for plan in self.plans.values():
            plan.rules.clear()
        if self._availability is not None:
            self._availability.mode = "ok"

    @property
    def object_storage(self) -> Mode | None:
        return None if self._availability is None else self._availability.mode

    def preset_of(self, service: str, fault: Fault) -> Preset | None:
        """The preset that a rule is from."""
        bare = replace(fault, matched=0, struck=0)
        return next((preset for preset in PRESETS if preset.service == service and preset.fault == bare), None)

    def _numbers(self, preset: Preset) -> list[int]:
        rules = self.plans[preset.service].rules.items()
        return [number for number, fault in rules if replace(fault, matched=0, struck=0) == preset.fault]
