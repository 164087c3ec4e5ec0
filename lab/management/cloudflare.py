"""The embedded Cloudflare from behind: tokens, the limit of requests, faults, the log, and back to the beginning."""

from __future__ import annotations

from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.cloudflare.account import Cloudflare
from lab.cloudflare.state import PERMISSIONS, issue
from lab.errors import CloudError, invalid_field
from lab.management import faults

_BELOW = "/cloudflare"


def routes(cloudflare: Cloudflare) -> Routes:
    async def reset(call: Call) -> Answer:
        await cloudflare.reset()
        return Answer(status=NO_CONTENT)

    async def add_token(call: Call) -> Answer:
        """A token that may do what is listed, and nothing else. It is shown this once."""
        wanted = call.body.required_strings("permissions")
        for permission in wanted:
            if permission not in PERMISSIONS:
                raise invalid_field("permissions", f"'{permission}' must be one of {', '.join(PERMISSIONS)}")
        text, token = issue(cloudflare.store, wanted)
        cloudflare.save()
        return Answer({"token": {"id": token.id, "value": text, "permissions": list(token.permissions)}}, CREATED)

    async def revoke_token(call: Call) -> Answer:
        token = cloudflare.store.tokens.get(str(call.request.path_params["token_id"]))
        if token is None:
            raise CloudError("not_found", "there is no such token")
        token.status = "disabled"
        cloudflare.save()
        return Answer(status=NO_CONTENT)

    async def get_limit(call: Call) -> Answer:
        return Answer({"requests": cloudflare.limit.requests, "seconds": cloudflare.limit.seconds})

    async def change_limit(call: Call) -> Answer:
        """So many requests in so many seconds; counting begins again."""
        requests, seconds = call.body.integer("requests"), call.body.integer("seconds")
        if requests < 0 or seconds < 1:
            raise invalid_field("requests", "must not be negative, and seconds at least 1")
        cloudflare.limit.change(requests, float(seconds))
        return await get_limit(call)

    return {
        ("POST", f"{_BELOW}/reset"): reset,
        ("POST", f"{_BELOW}/tokens"): add_token,
        ("DELETE", f"{_BELOW}/tokens/{{token_id}}"): revoke_token,
        ("GET", f"{_BELOW}/limit"): get_limit,
        ("PUT", f"{_BELOW}/limit"): change_limit,
        **faults.routes(cloudflare.faults, cloudflare.requests, _BELOW),
    }
