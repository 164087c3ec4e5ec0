"""What each image is made of, and what a compose file written for the upstream image may rely on.

Where each fact comes from stands in docs/container-images.md. A recipe's folder under ``files`` holds what goes into
the image, and ``setup.sh``, which runs inside the system under construction with the packages as its arguments.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILES = Path(__file__).parent / "files"

#: Counts up when the way of making images changes, so that those in the cache are made again.
_FORMAT = 1


@dataclass(frozen=True)
class Defaults:
    """What the engine does with a container unless told otherwise; empty for "nothing said"."""

    user: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    #: ``{version}`` stands for the version of the package.
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    folder: str = ""
    stop_signal: str = ""


@dataclass(frozen=True)
class Recipe:
    """One image. ``base`` is the repository of the one it stands on, empty for the one at the bottom."""

    repository: str
    #: With ``{version}`` (17.6) and ``{major}`` (17) of what is inside.
    tags: tuple[str, ...]
    #: A command inside the image that prints the version of what the image is named after.
    version: tuple[str, ...]
    packages: tuple[str, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    base: str = "debian"

    @property
    def slug(self) -> str:
        """Its name as a file's; also the name of its folder, without the publisher."""
        return self.repository.replace("/", "-")

    @property
    def files(self) -> Path:
        return FILES / self.repository.rpartition("/")[2]

    def key(self) -> str:
        """A short hash of everything the image is made from, what it stands on included."""
        digest = hashlib.sha256(json.dumps([_FORMAT, asdict(self)], sort_keys=True).encode())
        for path in sorted(self.files.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        if self.base:
            digest.update(RECIPES[self.base].key().encode())
        return digest.hexdigest()[:16]


def upstream_version(version: str) -> str:
    """The version as the software's makers count, from a package's: 2.53.3 from 2.53.3+ds1-2."""
    return re.split(r"[-+~]", version.strip().rpartition(":")[2], maxsplit=1)[0]


def tags(recipe: Recipe, version: str) -> list[str]:
    """The tags of an image whose package has this version."""
    true = upstream_version(version)
    if not re.fullmatch(r"\d+(\.\d+)*", true):
        raise ValueError(f"{recipe.repository}: {version!r} is no version")
    return [tag.format(version=true, major=true.partition(".")[0]) for tag in recipe.tags]


def _package_version(package: str) -> tuple[str, ...]:
    return ("dpkg-query", "--show", "--showformat=${Version}", package)


_NOBODY = "nobody"  # 65534 on Debian, as in the upstream images

_POSTGRES_MAJOR = "17"
_POSTGRES_DATA = "/var/lib/postgresql/data"

_ALL = (
    Recipe(
        repository="debian",
        base="",
        tags=("{version}", "{version}-slim", "{major}", "{major}-slim", "trixie", "trixie-slim"),
        version=("cat", "/etc/debian_version"),
        defaults=Defaults(
            command=("bash",),
            environment={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        ),
    ),
    Recipe(
        repository="postgres",
        tags=("{version}", "{version}-trixie", "{major}", "{major}-trixie"),
        version=_package_version(f"postgresql-{_POSTGRES_MAJOR}"),
        packages=(f"postgresql-{_POSTGRES_MAJOR}", "gosu", "less", "locales", "xz-utils", "zstd"),
        defaults=Defaults(
            entrypoint=("docker-entrypoint.sh",),
            command=("postgres",),
            environment={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                f":/usr/lib/postgresql/{_POSTGRES_MAJOR}/bin",
                "LANG": "en_US.utf8",
                "PG_MAJOR": _POSTGRES_MAJOR,
                "PG_VERSION": "{version}",
                "PGDATA": _POSTGRES_DATA,
            },
            ports=("5432/tcp",),
            volumes=(_POSTGRES_DATA,),
            stop_signal="SIGINT",
        ),
    ),
    Recipe(
        repository="prom/prometheus",
        tags=("v{version}",),
        version=_package_version("prometheus"),
        packages=("prometheus", "busybox"),
        defaults=Defaults(
            user=_NOBODY,
            entrypoint=("/bin/prometheus",),
            command=("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
            ports=("9090/tcp",),
            volumes=("/prometheus",),
            folder="/prometheus",
        ),
    ),
    Recipe(
        repository="prom/alertmanager",
        tags=("v{version}",),
        version=_package_version("prometheus-alertmanager"),
        packages=("prometheus-alertmanager", "busybox"),
        defaults=Defaults(
            user=_NOBODY,
            entrypoint=("/bin/alertmanager",),
            command=("--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"),
            ports=("9093/tcp",),
            volumes=("/alertmanager",),
            folder="/alertmanager",
        ),
    ),
    Recipe(
        repository="prom/node-exporter",
        tags=("v{version}",),
        version=_package_version("prometheus-node-exporter"),
        packages=("prometheus-node-exporter", "busybox"),
        defaults=Defaults(user=_NOBODY, entrypoint=("/bin/node_exporter",), ports=("9100/tcp",)),
    ),
    Recipe(
        repository="prometheuscommunity/postgres-exporter",
        tags=("v{version}",),
        version=_package_version("prometheus-postgres-exporter"),
        packages=("prometheus-postgres-exporter", "busybox"),
        defaults=Defaults(user=_NOBODY, entrypoint=("/bin/postgres_exporter",), ports=("9187/tcp",)),
    ),
    Recipe(
        repository="prom/blackbox-exporter",
        tags=("v{version}",),
        version=_package_version("prometheus-blackbox-exporter"),
        packages=("prometheus-blackbox-exporter", "busybox"),
        # As root, because the upstream image names no user.
        defaults=Defaults(
            entrypoint=("/bin/blackbox_exporter",),
            command=("--config.file=/etc/blackbox_exporter/config.yml",),
            ports=("9115/tcp",),
        ),
    ),
    # The lab's own application, and what stands before it on its server; see docs/application-in-the-lab.md.
    Recipe(
        repository="bulwark/application",
        tags=("{version}",),
        version=("python3", "-I", "-B", "/usr/local/lib/application/server.py", "--version"),
        packages=("python3", "python3-psycopg2"),
        defaults=Defaults(
            user=_NOBODY,
            entrypoint=("python3", "-I", "-B", "/usr/local/lib/application/server.py"),
            ports=("3000/tcp",),
            stop_signal="SIGTERM",
        ),
    ),
    Recipe(
        repository="bulwark/application-proxy",
        tags=("{version}", "{major}"),
        version=_package_version("haproxy"),
        packages=("haproxy", "socat"),
        defaults=Defaults(
            user=_NOBODY,
            # The socket is how the deployment speaks to it.
            entrypoint=("haproxy", "-W", "-S", "/run/application-proxy/master.sock"),
            command=("-f", "/etc/application-proxy/haproxy.cfg"),
            ports=("8080/tcp",),
            stop_signal="SIGUSR1",
        ),
    ),
)

RECIPES: Mapping[str, Recipe] = {recipe.repository: recipe for recipe in _ALL}
