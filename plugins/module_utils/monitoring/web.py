# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the monitoring's programs over HTTP. Runs on the host: standard library only."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

#: More than any page of metrics that is asked for here has, in bytes.
_MOST = 32 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back: ``status`` is 0 where nothing did, and ``reason`` says why."""

    status: int = 0
    body: str = ""
    reason: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:  # noqa: ANN401 because it is whatever was answered
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def sample(self, name: str) -> float | None:
        """The value of a metric without labels, or of the first with some; None where there is none."""
        found = re.search(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)", self.body, re.MULTILINE)
        return float(found[1]) if found else None


@dataclass(frozen=True)
class Web:
    """Asks, by no proxy. ``seconds`` is how long an answer may take."""

    seconds: float = 5.0

    def get(self, url: str, user: tuple[str, str] | None = None) -> Answer:
        """One request, as ``user`` with a password where one is given."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(url)  # noqa: S310 because the role makes all URLs, with http
        if user:
            request.add_header("Authorization", f"Basic {base64.b64encode(':'.join(user).encode()).decode()}")
        try:
            with opener.open(request, timeout=self.seconds) as response:
                return Answer(response.status, response.read(_MOST).decode(errors="replace"))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(_MOST).decode(errors="replace"), f"{error.code} {error.reason}")
        except (OSError, ValueError) as error:
            return Answer(reason=" ".join(str(getattr(error, "reason", error)).split()))
