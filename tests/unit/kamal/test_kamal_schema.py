"""The table of what Kamal takes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.kamal.options import BUILDER_KEYS, PASSED_ON, PROXY_KEYS
from ansible_collections.bulwark.hetzner.plugins.module_utils.kamal.schema import BUILDER, DEPLOY, PROXY, mistakes

#: Kamal's own example, put together from its documentation.
EXAMPLE: dict[str, Any] = {
    "service": "myapp",
    "image": "my-image",
    "x-common": {"anything": True},
    "labels": {"my-label": "my-value"},
    "registry": {"server": "registry.example.com", "username": ["USER"], "password": ["PASSWORD"]},
    "servers": {
        "web": ["172.1.0.1", {"172.1.0.2": ["experiment1"]}],
        "workers": {"hosts": ["172.1.0.3"], "cmd": "bin/jobs", "options": {"memory": "2g", "cpus": 4}, "proxy": False},
    },
    "env": {"clear": {"MYSQL_USER": "app", "PORT": 3306}, "secret": ["MYSQL_PASSWORD"]},
    "ssh": {"user": "app", "port": 2222, "proxy": "root@proxy-host", "config": True},
    "builder": {"arch": "amd64", "args": {"ENVIRONMENT": "production"}, "provenance": "mode=max"},
    "proxy": {"hosts": ["foo.example.com"], "ssl": {"certificate_pem": "A", "private_key_pem": "B"}},
    "boot": {"limit": "25%", "wait": 2},
    "hooks_output": {"pre-deploy": ":verbose"},
}


def broken(path: str, value: object) -> list[str]:
    """The mistakes of the example with another value at ``path``."""
    *parents, last = path.split("/")
    document: dict[str, Any] = dict(EXAMPLE)
    place = document
    for parent in parents:
        place[parent] = dict(place[parent])
        place = place[parent]
    place[last] = value
    return mistakes(document)


def test_the_documentations_example_is_taken() -> None:
    assert mistakes(EXAMPLE) == []


@pytest.mark.parametrize("name", ["service", "image", "servers", "registry", "builder"])
def test_what_kamal_needs_must_be_there(name: str) -> None:
    assert mistakes({key: value for key, value in EXAMPLE.items() if key != name}) == [f"{name} is missing."]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("srevice", "x", "srevice is no key that Kamal knows."),
        ("proxy/x-mine", 1, "proxy.x-mine is no key that Kamal knows."),
        ("proxy/app_port", "3000", "proxy.app_port must be int, not '3000'."),
        ("proxy/app_port", True, "proxy.app_port must be int, not True."),
        ("proxy/host", "a.example.com", "proxy has host and hosts: Kamal takes one of them."),
        ("proxy/healthcheck", {"port": 1}, "proxy.healthcheck.port is no key that Kamal knows."),
        ("servers/web", "10.0.0.3", "servers.web must be list or dict, not '10.0.0.3'."),
        ("servers/workers", {"command": "x"}, "servers.workers.command is no key that Kamal knows."),
        ("env/secret", "A", "env.secret must be list, not 'A'."),
        ("env/secret", [1], "env.secret[0] must be str, not 1."),
        ("builder/arch", [], "builder.arch is missing."),
        ("registry/password", 1, "registry.password must be str or list, not 1."),
    ],
)
def test_what_kamal_refuses_is_a_mistake(path: str, value: object, sentence: str) -> None:
    assert broken(path, value) == [sentence]


def test_what_people_may_say_is_what_kamal_knows() -> None:
    assert set(PASSED_ON) <= set(DEPLOY.keys or {})
    assert set(PROXY_KEYS) <= set(PROXY.keys or {})
    assert {*BUILDER_KEYS, "arch"} == set(BUILDER.keys or {})
