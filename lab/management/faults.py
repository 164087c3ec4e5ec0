"""Faults on order and the log of requests, of the API that they belong to."""

from __future__ import annotations

from dataclasses import asdict, replace

from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.errors import CloudError, invalid, invalid_field
from lab.faults import Fault, FaultPlan
from lab.request_log import RequestLog
from lab.state.coding import decode, encode


def routes(faults: FaultPlan, requests: RequestLog, below: str = "") -> Routes:
    async def list_requests(call: Call) -> Answer:
        """The log, oldest first; with ``after``, only what came after the request of that number."""
        text = call.one("after") or "0"
        if not text.isdecimal():
            raise invalid_field("after", "must be a whole number")
        return Answer({"requests": [asdict(entry) for entry in requests.entries if entry.number > int(text)]})

    async def forget_requests(call: Call) -> Answer:
        requests.entries.clear()
        return Answer(status=NO_CONTENT)

    async def list_faults(call: Call) -> Answer:
        return Answer({"faults": [{"id": number, **encode(fault)} for number, fault in faults.rules.items()]})

    async def add_fault(call: Call) -> Answer:
        try:
            fault = replace(decode(Fault, call.body.data), matched=0, struck=0)
        except ValueError as error:
            raise invalid(str(error)) from error
        problem = fault.problem()
        if problem:
            raise invalid(problem)
        number = faults.add(fault)
        return Answer({"fault": {"id": number, **encode(fault)}}, CREATED)

    async def remove_faults(call: Call) -> Answer:
        faults.rules.clear()
        return Answer(status=NO_CONTENT)

    async def remove_fault(call: Call) -> Answer:
        if faults.rules.pop(call.id, None) is None:
            raise CloudError("not_found", f"there is no fault {call.id}")
        return Answer(status=NO_CONTENT)

    return {
        ("GET", f"{below}/requests"): list_requests,
        ("DELETE", f"{below}/requests"): forget_requests,
        ("GET", f"{below}/faults"): list_faults,
        ("POST", f"{below}/faults"): add_fault,
        ("DELETE", f"{below}/faults"): remove_faults,
        ("DELETE", f"{below}/faults/{{id:int}}"): remove_fault,
    }
