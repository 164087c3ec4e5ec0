"""One run about a zone: whether it says truly that nothing was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.client import Client, CloudflareError
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.plan import Change, RefusedPlanError
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.run import carry_out

from tests.unit.cloudflare.conftest import envelope
from tests.unit.object_storage.edge import Edge


@dataclass(frozen=True)
class Step:
    change: Change


FINE = Step(Change("record", "www", "create", "declared"))
REFUSED = Step(Change("record", "@", "update", "not ours", refused="It is somebody else's."))


class Zone:
    """Each look finds the next plan; the first change that is made is one that nobody knows the outcome of."""

    def __init__(self, *plans: Sequence[Step] | CloudflareError) -> None:
        self.plans = list(plans)
        self.made = 0

    def look(self, zone_id: str) -> Sequence[Step]:
        assert zone_id == "z"
        plan = self.plans.pop(0)
        if isinstance(plan, CloudflareError):
            raise plan
        return plan

    def apply(self, _zone_id: str, steps: Sequence[Step]) -> None:
        self.made += len(steps)
        if self.made == 1:
            error = CloudflareError("The answer was lost.")
            error.unclear = True
            raise error


@pytest.fixture
def zone(edge: Edge) -> None:
    edge.answers = [envelope([{"id": "z", "name": "example.com"}], 1)]


@pytest.mark.usefixtures("zone")
def test_what_was_unclear_is_completed_and_told_once(client: Client) -> None:
    there = Zone([FINE], [FINE])
    result = carry_out(client, False, there.look, there.apply)
    assert (result["changed"], len(result["plan"]), there.made) == (True, 1, 2)


@pytest.mark.usefixtures("zone")
def test_check_mode_makes_nothing(client: Client) -> None:
    there = Zone([FINE])
    assert carry_out(client, True, there.look, there.apply)["changed"]
    assert there.made == 0


@pytest.mark.usefixtures("zone")
def test_a_refusal_before_the_first_change_says_so(client: Client) -> None:
    there = Zone([FINE, REFUSED])
    with pytest.raises(RefusedPlanError, match=r"Nothing was changed\. It is somebody else's\."):
        carry_out(client, False, there.look, there.apply)
    assert there.made == 0


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("then", [[REFUSED], CloudflareError("The token was taken away.")])
def test_a_failure_after_the_first_change_does_not_say_so(
    client: Client, then: Sequence[Step] | CloudflareError
) -> None:
    there = Zone([FINE], then)
    with pytest.raises(CloudflareError, match=r"^(It is|The token was)") as error:
        carry_out(client, False, there.look, there.apply)
    assert not isinstance(error.value, RefusedPlanError)
    assert error.value.changed
