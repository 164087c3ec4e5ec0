"""Switching servers on and off. Every change of power happens while the machine is held."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lab.actions import Work
from lab.drivers.base import DriverError, Exit
from lab.errors import invalid
from lab.operations.common import check_unlocked
from lab.state.resources import Action, Ref, Server

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

log = logging.getLogger(__name__)


def poweron(cloud: Cloud, server: Server) -> Action:
    return _act(cloud, server, "start_server", lambda: start(cloud, server))


def poweroff(cloud: Cloud, server: Server) -> Action:
    return _act(cloud, server, "stop_server", lambda: stop(cloud, server))


def reset(cloud: Cloud, server: Server) -> Action:
    async def work() -> None:
        await stop(cloud, server)
        await start(cloud, server)

    return _act(cloud, server, "reset_server", work)


def reboot(cloud: Cloud, server: Server) -> Action:
    _check_running(server)

    async def work() -> None:
        await _press_button(cloud, server)
        await start(cloud, server)

    return _act(cloud, server, "reboot_server", work)


def shutdown(cloud: Cloud, server: Server) -> Action:
    """As on the real cloud the action only says that the button was pressed; whether the server obeys is seen later."""
    _check_running(server)

    async def obey() -> None:
        try:
            await _press_button(cloud, server)
        except DriverError as error:
            log.warning("server %s did not shut down: %s", server.name, error.message)

    async def work() -> None:
        cloud.actions.background(obey())

    return _act(cloud, server, "shutdown_server", work)


async def start(cloud: Cloud, server: Server) -> None:
    async with cloud.gate.machine(server.id):
        if server.status == "running":
            return
        if not server.attachments and not cloud.store.is_public(server.id):
            raise invalid("no public or private network interfaces found, cannot start server")
        server.status = "starting"
        try:
            await cloud.gate.start_machine(server)
        except DriverError:
            server.status = "off"
            raise
        server.status = "running"


async def stop(cloud: Cloud, server: Server) -> None:
    async with cloud.gate.machine(server.id):
        if server.status != "off":
            await cloud.gate.stop_machine(server)
            server.status = "off"


async def after_exit(cloud: Cloud, server_id: int, reason: Exit) -> None:
    """A machine stopped by itself: it stays off, or comes up again as a rebooting computer does."""
    server = cloud.store.servers.get(server_id)
    if server is None:
        return
    async with cloud.gate.machine(server_id):
        if server.status != "running":
            return
        if reason is Exit.POWERED_OFF:
            server.status = "off"
            return
        try:
            await cloud.gate.start_machine(server)
        except DriverError as error:
            server.status = "off"
            log.warning("server %s did not come up after its reboot: %s", server.name, error.message)


async def _press_button(cloud: Cloud, server: Server) -> None:
    async with cloud.gate.machine(server.id):
        if server.status == "running":
            await cloud.gate.shutdown_machine(server)
            if server.status == "running":  # it may be about to be deleted by now
                server.status = "off"


def _check_running(server: Server) -> None:
    if server.status != "running":
        raise invalid(f"server {server.name} is not running")


def _act(cloud: Cloud, server: Server, command: str, work: Work) -> Action:
    ref = Ref("server", server.id)
    check_unlocked(cloud.store, ref)
    return cloud.actions.start_one(command, [ref], work)
