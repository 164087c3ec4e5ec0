"""What every change of a load balancer has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.actions import Work
from lab.operations import common
from lab.state.load_balancers import LoadBalancer
from lab.state.resources import Action, Ref

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud


def ref(load_balancer: LoadBalancer) -> Ref:
    return Ref("load_balancer", load_balancer.id)


def check_unlocked(cloud: Cloud, load_balancer: LoadBalancer) -> None:
    common.check_unlocked(cloud.store, ref(load_balancer))


def change(cloud: Cloud, load_balancer: LoadBalancer, command: str, undo: Work) -> Action:
    """Make real what has been written down; ``undo`` takes that back, and what was half made with it."""

    async def take_back() -> None:
        await undo()
        await cloud.gate.refresh_load_balancer(load_balancer.id)

    return cloud.actions.start_one(
        command, [ref(load_balancer)], lambda: cloud.gate.sync_load_balancer(load_balancer.id), take_back
    )
