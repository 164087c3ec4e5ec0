# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a PostgreSQL server: computed from its memory and cores, checked against them, written down. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: What one server gets when nobody says otherwise, like "4GB" or 100.
Value = str | int | float | bool

#: Decided by the role alone: another value would cut the servers off from their data, their peers or their files.
RESERVED = frozenset(
    {
        "allow_alter_system",
        "archive_command",
        "archive_library",
        "archive_mode",
        "cluster_name",
        "config_file",
        "data_directory",
        "external_pid_file",
        "hba_file",
        "hot_standby",
        "ident_file",
        "include",
        "include_dir",
        "include_if_exists",
        "password_encryption",
        "port",
        "primary_conninfo",
        "primary_slot_name",
        "restore_command",
        "ssl",
        "ssl_ca_file",
        "ssl_cert_file",
        "ssl_key_file",
        "ssl_min_protocol_version",
        "synchronous_standby_names",
        "unix_socket_directories",
    }
)

#: Factors to kilobytes, as PostgreSQL writes its units.
_UNITS = {"B": 1 / 1024, "kB": 1, "MB": 1024, "GB": 1024**2, "TB": 1024**3}
#: Size in kilobytes of the unit that a number without unit has.
_BARE = {"shared_buffers": 8, "effective_cache_size": 8, "temp_buffers": 8, "wal_buffers": 8}


class SettingsError(Exception):
    """The settings cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Server:
    """What the settings are computed from. Memory in megabytes."""

    memory: int
    cores: int


def computed(server: Server) -> dict[str, Value]:
    """Settings by memory and cores; on 16 GB with 8 cores they are the guide's."""
    memory, cores = server.memory, server.cores
    return {
        "listen_addresses": "*",
        "max_connections": 100,
        "shared_buffers": _size(memory // 4),
        "effective_cache_size": _size(memory * 3 // 4),
        # 100 connections may use a fifth of the memory this way, each once.
        "work_mem": _size(max(4, memory // 512)),
        "maintenance_work_mem": _size(_between(64, memory // 16, 2048)),
        "autovacuum_work_mem": _size(_between(32, memory // 32, 1024)),
        "wal_level": "replica",
        # With backups: what is lost when every server is gone at once.
        "archive_timeout": "30s",
        "max_wal_senders": 10,
        "max_replication_slots": 10,
        "wal_keep_size": "1GB",
        # A replica that is away may fill this much of the volume, and no more. After that it needs a new copy.
        "max_slot_wal_keep_size": "10GB",
        "checkpoint_completion_target": 0.9,
        "checkpoint_timeout": "5min",
        "max_wal_size": "2GB",
        "min_wal_size": "512MB",
        "random_page_cost": 1.1,
        "max_worker_processes": max(8, cores),
        "max_parallel_workers": _between(2, cores * 3 // 4, cores),
        "max_parallel_workers_per_gather": _between(1, cores // 2, 4),
        "log_line_prefix": "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
        "log_statement": "none",
        "log_min_duration_statement": 1000,
        "log_checkpoints": True,
        "log_connections": True,
        "log_disconnections": True,
        "log_lock_waits": True,
        "autovacuum": True,
        "autovacuum_max_workers": 3,
        "autovacuum_vacuum_threshold": 50,
        "autovacuum_analyze_threshold": 50,
    }


def settings(server: Server, overrides: Mapping[str, Value]) -> dict[str, Value]:
    """Computed settings with somebody's own over them, checked against the memory.

    Raises SettingsError for a setting that is the role's, a value that is none, or more memory than the server has.
    """
    if server.memory < 1000 or server.cores < 1:
        raise SettingsError(
            f"The server has {server.memory} MB of memory and {server.cores} cores by what postgres_memory_mb and "
            "postgres_cores say; these settings need at least 1000 MB and one core: correct them."
        )
    for name, value in overrides.items():
        if name.lower() in RESERVED:
            raise SettingsError(f"postgres_settings names {name}, which the role decides: take it out.")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise SettingsError(f"postgres_settings names {name!r}, which is not the name of a setting: correct it.")
        if not isinstance(value, (str, int, float)) or re.search(r"[\x00-\x1f]", str(value)):
            raise SettingsError(f"postgres_settings: {name} must be one number, text or yes/no: correct it.")
    result = computed(server) | dict(overrides)
    _check_memory(server, result)
    return result


def _check_memory(server: Server, result: Mapping[str, Value]) -> None:
    total = server.memory * 1024

    def need(name: str) -> int:
        return max(0, kilobytes(name, result[name]))

    single = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "autovacuum_work_mem")
    for name in single:
        if need(name) > total:
            raise SettingsError(
                f"{name} is {result[name]}, and the server has {server.memory} MB of memory: make it smaller in "
                "postgres_settings."
            )
    together = (
        need("shared_buffers")
        + need("maintenance_work_mem")
        + _count("autovacuum_max_workers", result) * need("autovacuum_work_mem")
        + _count("max_connections", result) * need("work_mem")
    )
    if together > total:
        raise SettingsError(
            "shared_buffers, maintenance_work_mem, autovacuum_max_workers times autovacuum_work_mem and "
            f"max_connections times work_mem are {together // 1024} MB together, and the server has {server.memory} MB "
            "of memory: make them smaller in postgres_settings."
        )


def _count(name: str, result: Mapping[str, Value]) -> int:
    try:
        return int(result[name])
    except ValueError:
        raise SettingsError(f'postgres_settings: {name} is "{result[name]}"; it must be a whole number.') from None


def kilobytes(name: str, value: Value) -> int:
    """A memory setting in kilobytes; -1 (PostgreSQL's "as another setting says") counts as nothing."""
    found = re.fullmatch(r"\s*(-?\d+)\s*(B|kB|MB|GB|TB)?\s*", str(value))
    if not found:
        raise SettingsError(f'postgres_settings: {name} is "{value}"; write a size like 512MB or 4GB.')
    number = int(found[1])
    return 0 if number < 0 else int(number * (_UNITS[found[2]] if found[2] else _BARE.get(name, 1)))


def shared_memory(server: Server) -> int:
    """Megabytes that /dev/shm gets, where parallel queries meet."""
    return max(256, server.memory // 16)


def quoted(value: Value) -> str:
    """A value as the configuration file has it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    return "'" + value.replace("'", "''").replace("\\", "\\\\") + "'"


def document(values: Mapping[str, Value]) -> str:
    """Lines of a configuration file, in the order of the names."""
    return "".join(f"{name} = {quoted(value)}\n" for name, value in sorted(values.items()))


def _size(megabytes: int) -> str:
    return f"{megabytes // 1024}GB" if megabytes >= 1024 and megabytes % 1024 == 0 else f"{megabytes}MB"


def _between(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))
