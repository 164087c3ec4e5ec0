"""Taking object storage away, and giving it back."""

from __future__ import annotations

from lab.api.http import Answer, Call, Routes
from lab.errors import invalid_field
from lab.object_storage.availability import MODES, Availability


def routes(availability: Availability) -> Routes:
    async def show(call: Call) -> Answer:
        return Answer({"mode": availability.mode})

    async def change(call: Call) -> Answer:
        given = call.body.data.get("mode")
        mode = next((mode for mode in MODES if mode == given), None)
        if mode is None:
            raise invalid_field("mode", f"must be one of {', '.join(MODES)}")
        availability.mode = mode
        return await show(call)

    return {("GET", "/object_storage"): show, ("PUT", "/object_storage"): change}
