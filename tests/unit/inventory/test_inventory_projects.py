"""Several projects in one inventory, and what is kept of each while the API is away."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.projects import Project, merged, projects_of
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import InventoryError

from tests.unit.inventory.builders import FakeApi, network_json, server_json, snapshot
from tests.unit.inventory.runner import Runner

OTHER_TOKEN = "o" * 64
BOTH: list[dict[str, Any]] = [
    {"name": "shop", "token_variable": "TOKEN_SHOP", "environments": ["production"]},
    {"name": "trials", "token_variable": "TOKEN_TRIALS"},
]
TOKENS = {"TOKEN_SHOP": "t" * 64, "TOKEN_TRIALS": OTHER_TOKEN, "HCLOUD_TOKEN": None}


def test_each_project_has_its_token_and_its_environments() -> None:
    environ = {"TOKEN_SHOP": "a", "TOKEN_TRIALS": "b"}
    assert projects_of(BOTH, environ, "managed-by=bulwark") == [
        Project("shop", "a", "env in (production),managed-by=bulwark"),
        Project("trials", "b", "managed-by=bulwark"),
    ]
    assert "'a'" not in repr(projects_of(BOTH, environ, "")), "a token is never shown"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"name": "shop", "token": "secret"}, "there is no token; there are name, token_variable, environments."),
        ({"token_variable": "TOKEN_SHOP"}, "each needs a name"),
        ({"name": "shop"}, "the token of shop is missing"),
        ({"name": "shop", "token_variable": "UNSET"}, "and set it (UNSET)"),
        (BOTH[0] | {"environments": "production"}, "environments of shop must be a list of names"),
        (BOTH[0] | {"environments": ["a b"]}, "'a b' in the option environments cannot be"),
    ],
)
def test_what_cannot_be_meant_is_refused(entry: dict[str, object], sentence: str) -> None:
    with pytest.raises(InventoryError) as error:
        projects_of([entry], {"TOKEN_SHOP": "a"}, "")
    assert sentence in str(error.value)
    assert "secret" not in str(error.value)


def test_a_name_that_is_there_twice_is_refused() -> None:
    shop, trials = projects_of(BOTH, {"TOKEN_SHOP": "a", "TOKEN_TRIALS": "b"}, "")
    one, other = snapshot([server_json(1, "app-01", private="10.0.0.3")]), snapshot([server_json(2, "app-01")])
    with pytest.raises(InventoryError, match="There is a server app-01 in project shop and in project trials"):
        merged([(shop, one), (trials, other)])
    with pytest.raises(InventoryError, match="shop is there 2 times"):
        projects_of([BOTH[0], BOTH[0]], {"TOKEN_SHOP": "a"}, "")


@pytest.fixture
def two_projects(api: FakeApi) -> FakeApi:
    api.tokens[OTHER_TOKEN] = {
        "servers": [
            server_json(
                90,
                "trial-bastion",
                roles=("bastion",),
                env="trial",
                private="10.9.0.2",
                public="203.0.113.9",
                network_id=9,
            ),
            server_json(91, "trial-app", roles=("app",), env="trial", private="10.9.0.3", network_id=9),
        ],
        "networks": [network_json(9, "trial-network", "10.9.0.0/16")],
        "volumes": [],
    }
    return api


@pytest.mark.usefixtures("two_projects")
def test_two_projects_are_one_inventory(runner: Runner) -> None:
    runner.configure(environments=[], projects=BOTH, **runner.cached())
    listing = runner.listing(**TOKENS)
    assert listing["role_app"]["hosts"] == ["app-01", "trial-app"]
    hosts = listing["_meta"]["hostvars"]
    assert hosts["app-01"]["bulwark_bastion"]["name"] == "bastion-server"
    assert hosts["trial-app"]["bulwark_bastion"]["name"] == "trial-bastion"
    assert hosts["trial-app"]["bulwark_network"]["name"] == "trial-network"
    written = json.dumps(listing) + "".join(path.read_text() for path in (runner.home / "cache").iterdir())
    assert not [token for token in TOKENS.values() if token and token in written]


def test_a_project_whose_token_is_wrong_is_named(runner: Runner) -> None:
    runner.configure(environments=[], projects=BOTH)
    assert "Project trials: The API does not accept the token" in runner.failure(**TOKENS)


def grow_older(home: Path, minutes: int) -> None:
    """Make what is cached older; Ansible may keep it as JSON within JSON."""
    (path,) = (home / "cache").iterdir()
    older, times = re.subn(
        r'(taken\\*": )(\d+)', lambda found: f"{found[1]}{int(found[2]) - minutes * 60}", path.read_text()
    )
    assert times == 1
    path.write_text(older)


def test_what_is_too_old_is_read_again(runner: Runner, api: FakeApi) -> None:
    runner.configure(**runner.cached(), cache_timeout=300)
    runner.listing()
    asked = len(api.queries)
    grow_older(runner.home, 4)
    runner.listing()
    assert len(api.queries) == asked
    grow_older(runner.home, 2)
    runner.listing()
    assert len(api.queries) == 2 * asked


def test_what_is_too_old_serves_while_the_api_is_away_and_says_so(runner: Runner) -> None:
    runner.configure(**runner.cached(), cache_timeout=300)
    fresh = runner.listing()
    grow_older(runner.home, 90)
    runner.api.stop()
    done = runner.run("ansible-inventory", "--list")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["role_app"] == fresh["role_app"]
    said = " ".join(done.stderr.split())
    assert "The API does not answer at 127.0.0.1" in said
    assert "The inventory of 90 minutes ago is used instead." in said


def test_a_token_that_was_revoked_is_no_reason_to_use_what_is_old(runner: Runner, api: FakeApi) -> None:
    runner.configure(**runner.cached(), cache_timeout=300)
    runner.listing()
    grow_older(runner.home, 90)
    api.tokens.clear()
    assert "does not accept the token" in runner.failure()


def test_who_asks_for_a_fresh_inventory_gets_no_old_one(runner: Runner) -> None:
    runner.configure(**runner.cached())
    runner.listing()
    runner.api.stop()
    assert runner.run("ansible-inventory", "--list").returncode == 0
    assert runner.run("ansible-inventory", "--list", "--flush-cache").returncode != 0
