"""The plugin as Ansible runs it: ``ansible-inventory`` and ``ansible``, against an API on loopback."""

from __future__ import annotations

import json
import re

from tests.unit.inventory.builders import TOKEN, FakeApi, server_json
from tests.unit.inventory.runner import Runner

TEMPLATE = "{{ lookup('pipe', 'echo executed') }}"


def test_groups_and_variables(runner: Runner, api: FakeApi) -> None:
    listing = runner.listing()
    assert listing["role_app"]["hosts"] == ["app-01"]
    assert listing["env_production"]["hosts"] == ["app-01", "bastion-server", "db-primary"]
    assert listing["private_servers"]["hosts"] == ["app-01", "db-primary"]
    app = listing["_meta"]["hostvars"]["app-01"]
    assert app["ansible_host"] == "10.0.0.3"
    assert f"UserKnownHostsFile={runner.home}/.ssh/known_hosts_bulwark" in app["ansible_ssh_common_args"]
    assert app["bulwark_server"]["cores"] == 4
    servers = dict(api.queries)["servers"]
    assert servers["label_selector"] == "env in (production),managed-by=bulwark"


def test_options_from_the_file_and_the_environment(runner: Runner) -> None:
    runner.configure(user="alice", known_hosts_file="/known")
    app = runner.listing(ANSIBLE_PRIVATE_KEY_FILE="/keys/id", ANSIBLE_SSH_CONTROL_PATH_DIR=str(runner.home / "sockets"))
    variables = app["_meta"]["hostvars"]["app-01"]
    assert variables["ansible_user"] == "alice"
    assert variables["ansible_ssh_private_key_file"] == "/keys/id"
    arguments = variables["ansible_ssh_common_args"]
    assert "UserKnownHostsFile=/known" in arguments
    assert "IdentityFile=/keys/id" in arguments
    assert re.search(rf"ControlPath={runner.home}/sockets/hcloud-1-[0-9a-f]{{8}}-jump-alice", arguments)
    assert (runner.home / "sockets").stat().st_mode & 0o777 == 0o700


def test_constructed_groups_and_variables(runner: Runner) -> None:
    runner.configure(
        strict=True,
        compose={"cores_twice": "bulwark_server.cores * 2"},
        groups={"small": "bulwark_server.cores < 8"},
        keyed_groups=[{"key": "bulwark_server.location", "prefix": "location"}],
    )
    listing = runner.listing()
    assert listing["_meta"]["hostvars"]["app-01"]["cores_twice"] == 8
    assert "app-01" in listing["small"]["hosts"]
    assert "app-01" in listing["location_fsn1"]["hosts"]


def test_strict_refuses_what_cannot_be_composed(runner: Runner) -> None:
    runner.configure(strict=True, compose={"x": "no_such_variable"})
    assert "no_such_variable" in runner.failure()


def test_empty_project_is_an_empty_inventory(runner: Runner, api: FakeApi) -> None:
    api.objects["servers"] = []
    result = runner.run("ansible-inventory", "--graph")
    assert result.returncode == 0
    assert "@bulwark_servers" in result.stdout


def test_strings_of_the_api_are_never_templates(runner: Runner, api: FakeApi) -> None:
    api.objects["servers"][1]["labels"]["note"] = TEMPLATE
    api.objects["networks"][0]["name"] = TEMPLATE
    runner.configure(**runner.cached())
    message = "{{ bulwark_server.labels.note }} {{ bulwark_network.name }}"
    for _from in ("the API", "the cache"):
        arguments = ("app-01", "-c", "local", "-m", "debug", "-a", json.dumps({"msg": message}))
        result = runner.run("ansible", *arguments, ANSIBLE_CALLBACK_RESULT_FORMAT="json")
        assert result.returncode == 0, result.stderr
        assert f"{TEMPLATE} {TEMPLATE}" in result.stdout
        assert "executed" not in result.stdout.replace(TEMPLATE, "")
    assert [kind for kind, _ in api.queries].count("servers") == 1


def test_token_is_neither_shown_nor_cached(runner: Runner) -> None:
    runner.configure(**runner.cached())
    result = runner.run("ansible-inventory", "--list", "-vvvv")
    assert result.returncode == 0
    assert TOKEN not in result.stdout + result.stderr
    (cached,) = (runner.home / "cache").iterdir()
    assert "app-01" in cached.read_text()
    assert TOKEN not in cached.read_text() + cached.name


def test_cache_serves_while_the_api_is_away(runner: Runner, api: FakeApi) -> None:
    runner.configure(**runner.cached())
    assert runner.listing() == runner.listing()
    asked = len(api.queries)
    assert asked == 3
    key = {"HCLOUD_TOKEN": "u" * 64}
    assert "does not accept the token" in runner.failure(**key)  # another token is another project
    runner.configure(**runner.cached(), user="alice")
    assert runner.listing()["_meta"]["hostvars"]["app-01"]["ansible_user"] == "alice"
    assert len(api.queries) == asked
    runner.configure(**{**runner.cached(), "environments": ["staging"]})
    runner.listing()
    assert len(api.queries) == asked + 3


def test_api_that_is_away_is_said(runner: Runner) -> None:
    assert "The API does not answer at 127.0.0.1:9" in runner.failure(HCLOUD_ENDPOINT="http://127.0.0.1:9/v1")


def test_missing_token_is_said(runner: Runner) -> None:
    assert "There is no API token: set the environment variable HCLOUD_TOKEN" in runner.failure(HCLOUD_TOKEN=None)


def test_wrong_token_is_said(runner: Runner) -> None:
    assert "The API does not accept the token" in runner.failure(HCLOUD_TOKEN="x" * 64)


def test_misspelt_option_is_refused_before_anything_is_listed(runner: Runner, api: FakeApi) -> None:
    runner.configure(enviroments=["production"])
    assert "has no option enviroments: did you mean environments?" in runner.failure()
    assert api.queries == []


def test_hostile_server_name_is_refused(runner: Runner, api: FakeApi) -> None:
    api.objects["servers"].append(server_json(9, "-oProxyCommand=touch x"))
    assert "no host name" in runner.failure()
