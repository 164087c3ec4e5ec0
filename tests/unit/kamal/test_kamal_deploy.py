"""config/deploy.yml: what follows from the environment, what agrees with the load balancer, what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.filter.kamal_deploy import FilterModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.kamal.deploy import MARK, files
from ansible_collections.bulwark.hetzner.plugins.module_utils.kamal.schema import mistakes
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.reading import TopologyError

from tests.unit.kamal.builders import (
    BASTION,
    HOST_KEYS,
    JUMP,
    ROUTES,
    SERVERS,
    checked_by,
    kamal,
    route,
    server,
    topology,
)

SECRETS = ["DATABASE_URL", "S3_BUCKET", "EDGE_SECRET"]


def text(
    of: dict[str, Any] | None = None,
    told: dict[str, Any] | None = None,
    servers: list[dict[str, Any]] | None = None,
    routes: list[dict[str, Any]] | None = None,
) -> str:
    made = files(
        topology() if of is None else of,
        kamal() if told is None else told,
        SERVERS if servers is None else servers,
        ROUTES if routes is None else routes,
        SECRETS,
        "/etc/bulwark/database/ca.crt",
        "/shop/.kamal",
        HOST_KEYS,
    )
    return made["deploy"]


def deploy(*arguments: Any, **more: Any) -> dict[str, Any]:
    document = yaml.safe_load(text(*arguments, **more))
    assert mistakes(document) == []
    return dict(document)


def refusal(*arguments: Any, **more: Any) -> str:
    with pytest.raises(TopologyError) as refused:
        text(*arguments, **more)
    return str(refused.value)


def test_the_whole_follows_from_the_environment() -> None:
    assert deploy() == {
        "service": "shop",
        "image": "example/shop",
        "servers": {
            "web": {"hosts": ["10.0.0.3", "10.0.0.4"]},
            "jobs": {"hosts": ["10.0.0.5"], "cmd": "bin/jobs"},
        },
        "ssh": {"user": "deployer", "proxy": f"deployer@{BASTION}", "config": "/shop/.kamal/ssh_config"},
        "proxy": {
            "ssl": False,
            "forward_headers": True,
            "app_port": 80,
            "healthcheck": {"path": "/up", "interval": 1, "timeout": 5},
        },
        "registry": {"username": "example", "password": ["KAMAL_REGISTRY_PASSWORD"]},
        "builder": {"arch": ["arm64"]},
        "env": {"secret": SECRETS},
        "volumes": ["/etc/bulwark/database/ca.crt:/etc/bulwark/database/ca.crt:ro"],
        "minimum_version": "2.11.0",
    }
    assert text().startswith(MARK)


def test_what_a_person_decides_goes_in() -> None:
    made = deploy(
        None,
        kamal(
            app_port=3000,
            jobs_command="bin/jobs start",
            env={"RAILS_LOG_LEVEL": "info", "WEB_CONCURRENCY": 2},
            secrets=["RAILS_MASTER_KEY", "MAIL:SMTP_PASSWORD"],
            volumes=["shop_storage:/rails/storage"],
            builder={"remote": "ssh://builder.example.com", "args": {"RUBY_VERSION": "3.4"}},
            registry={"server": "registry.example.com", "username": "u", "password": "REGISTRY_TOKEN"},
            proxy={"response_timeout": 60, "buffering": {"requests": False}},
            healthcheck={"timeout": 3, "interval": 2},
            asset_path="/rails/public/assets",
            retain_containers=3,
            aliases={"console": 'app exec -i "bin/rails console"'},
            boot={"limit": "50%", "wait": 2},
        ),
    )
    assert (made["proxy"]["app_port"], made["proxy"]["response_timeout"]) == (3000, 60)
    assert made["proxy"]["healthcheck"] == {"path": "/up", "interval": 2, "timeout": 3}
    assert made["servers"]["jobs"]["cmd"] == "bin/jobs start"
    assert made["env"] == {
        "clear": {"RAILS_LOG_LEVEL": "info", "WEB_CONCURRENCY": 2},
        "secret": [*SECRETS, "RAILS_MASTER_KEY", "MAIL:SMTP_PASSWORD"],
    }
    assert made["volumes"][1:] == ["shop_storage:/rails/storage"]
    assert made["builder"]["remote"] == "ssh://builder.example.com"
    assert made["registry"]["password"] == ["REGISTRY_TOKEN"]
    assert (made["retain_containers"], made["asset_path"]) == (3, "/rails/public/assets")


@pytest.mark.parametrize(
    ("architectures", "built"),
    [(("arm", "x86"), ["amd64", "arm64"]), (("x86", "x86"), ["amd64"]), (("arm", "arm"), ["arm64"])],
)
def test_every_architecture_that_runs_it_is_built(architectures: tuple[str, str], built: list[str]) -> None:
    app, jobs = architectures
    servers = [
        server("app-01", "app", architecture=app),
        server("jobs-01", "jobs", architecture=jobs),
        server("db-primary", "db", architecture="x86"),  # runs nothing of it
    ]
    assert deploy(servers=servers)["builder"]["arch"] == built


def test_a_third_application_server_is_one_more_address() -> None:
    made = deploy(servers=[*SERVERS, server("app-03", "app")], routes=[*ROUTES, route("app-03", 9, "10.0.0.103", JUMP)])
    assert made["servers"]["web"]["hosts"] == ["10.0.0.3", "10.0.0.4", "10.0.0.103"]


def test_one_public_server_with_all_roles_needs_no_bastion() -> None:
    made = deploy(servers=[server("stage-01", "app", "db", "jobs")], routes=[route("stage-01", 2, "203.0.113.9", None)])
    assert made["servers"]["web"]["hosts"] == made["servers"]["jobs"]["hosts"] == ["203.0.113.9"]
    assert "proxy" not in made["ssh"]


def test_an_only_server_meets_users_itself() -> None:
    alone = {key: value for key, value in topology().items() if key != "edge"} | {"one_server": {}}
    placed = {
        "servers": [server("stage-01", "app", "db", "jobs")],
        "routes": [route("stage-01", 2, "203.0.113.9", None)],
    }
    named = deploy(alone, kamal(hosts=["staging.example.org"]), **placed)["proxy"]
    assert (named["hosts"], named["ssl"], named["forward_headers"]) == (["staging.example.org"], True, False)
    nameless = deploy(alone, kamal(), **placed)["proxy"]
    assert (nameless.get("hosts"), nameless["ssl"], nameless["forward_headers"]) == (None, False, False)


def test_without_servers_for_jobs_there_is_no_such_role() -> None:
    assert list(deploy(servers=[server("app-01", "app")])["servers"]) == ["web"]


def test_path_and_patience_are_the_load_balancers() -> None:
    of = checked_by(path="/health", timeout=2, interval=3)
    assert deploy(of)["proxy"]["healthcheck"] == {"path": "/health", "interval": 1, "timeout": 2}
    assert "kamal.healthcheck.timeout is 4 s, the load balancer's 2 s" in refusal(of, kamal(healthcheck={"timeout": 4}))
    assert "kamal.healthcheck.interval is 4 s" in refusal(of, kamal(healthcheck={"interval": 4}))


def test_the_proxy_answers_for_every_name_unless_the_check_carries_one() -> None:
    assert "hosts" not in deploy()["proxy"]
    checked = checked_by(host="www.example.com")
    assert deploy(checked)["proxy"]["hosts"] == ["example.com", "www.example.com"]
    assert deploy(checked_by(host="check.example.com"))["proxy"]["hosts"][-1] == "check.example.com"
    wild = checked_by(host="check.example.com") | {
        "edge": {"zone": "example.com", "hostnames": ["example.com", "*.example.com"]}
    }
    assert deploy(wild)["proxy"]["hosts"] == ["example.com", "*.example.com"]


def test_names_that_the_check_does_not_carry_are_refused() -> None:
    hosts = kamal(hosts=["example.com", "www.example.com"])
    assert "carries none, so kamal-proxy would answer it with 404" in refusal(told=hosts)
    assert "which kamal.hosts does not have" in refusal(checked_by(host="check.example.com"), hosts)
    assert deploy(checked_by(host="example.com"), hosts)["proxy"]["hosts"] == ["example.com", "www.example.com"]
    fewer = kamal(hosts=["example.com"])
    assert "Users come by www.example.com" in refusal(checked_by(host="example.com"), fewer)


def test_without_an_edge_there_is_no_check_to_agree_with() -> None:
    alone = {key: value for key, value in topology().items() if key != "edge"}
    assert deploy(alone, kamal(hosts=["shop.example.org"]))["proxy"]["hosts"] == ["shop.example.org"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"servce": "shop"}, "kamal has an unknown key 'servce': did you mean 'service'?"),
        ({"service": "my shop"}, "kamal.service: 'my shop' cannot begin a container's name"),
        ({"service": None}, "kamal.service is missing"),
        ({"registry": {}}, "kamal.registry.username is missing"),
        ({"builder": {"arch": ["amd64"]}}, "kamal.builder has an unknown key 'arch'"),
        ({"proxy": {"ssl": True}}, "kamal.proxy has an unknown key 'ssl'"),
        ({"env": {"DATABASE_URL": "x"}}, "DATABASE_URL follows from the inventory"),
        ({"secrets": ["EDGE_SECRET"]}, "EDGE_SECRET follows from the inventory"),
        ({"env": {"A": "1"}, "secrets": ["A"]}, "A is in kamal.env and in kamal.secrets"),
        ({"secrets": ["not a name"]}, "kamal.secrets: 'not a name' is no name of a variable"),
        ({"env": {"A": ["1"]}}, "kamal.env.A must be one value"),
        ({"env": {"A": "<%= `id` %>"}}, "kamal.env.A holds '<%'"),
        ({"aliases": {"console": ["a", "<%= 1 %>"]}}, "kamal.aliases.console holds '<%'"),
        ({"retain_containers": "three"}, "retain_containers must be int, not 'three'"),
        ({"boot": {"limits": 1}}, "boot.limits is no key that Kamal knows"),
        ({"app_port": 0}, "kamal.app_port must be a whole number from 1 to 65535"),
    ],
)
def test_mistakes_are_refused(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(told=kamal(**changes))


def test_a_password_in_the_place_of_its_name_is_refused_and_not_repeated() -> None:
    said = refusal(told=kamal(registry={"username": "u", "password": "s3cret-token"}))
    assert "is the name of a secret" in said
    assert "s3cret" not in said


def test_a_registry_on_the_own_machine_needs_no_user() -> None:
    assert deploy(None, kamal(registry={"server": "localhost:5555"}))["registry"] == {"server": "localhost:5555"}


def test_an_inventory_that_kamal_cannot_reach_is_refused() -> None:
    assert "no application server" in refusal(servers=[server("db-primary", "db")])
    assert "app-03 has no address" in refusal(servers=[*SERVERS, server("app-03", "app")])
    elsewhere = [*ROUTES[1:], route("app-01", 2, "10.0.0.3", route("other", 8, "203.0.113.8"))]
    assert "behind different bastions (203.0.113.2, 203.0.113.8)" in refusal(routes=elsewhere)
    assert "'riscv', which is neither of arm, x86" in refusal(servers=[server("app-01", "app", architecture="riscv")])


def test_the_filter_says_what_is_wrong() -> None:
    function = FilterModule().filters()["kamal_deploy"]
    with pytest.raises(AnsibleFilterError, match="The variable kamal is missing"):
        function(topology(), {}, SERVERS, ROUTES, SECRETS, "/ca.crt", "/shop/.kamal")
    with pytest.raises(AnsibleFilterError, match=r"topology\.environment is missing"):
        function({}, kamal(), SERVERS, ROUTES, SECRETS, "/ca.crt", "/shop/.kamal")


TRICKY = {
    f"V{number}": value
    for number, value in enumerate((":symbol", "yes", "0o17", "1_000", "12:30", "", "~", "#", "é", "a: b", "y", "1e3"))
}


def test_texts_stay_texts() -> None:
    assert deploy(None, kamal(env=TRICKY))["env"]["clear"] == TRICKY


@pytest.mark.skipif(not shutil.which("ruby"), reason="there is no Ruby here")  # because only this needs it
def test_ruby_reads_the_same() -> None:
    written = text(None, kamal(env=TRICKY))
    command = ["ruby", "-ryaml", "-rjson", "-rerb", "-e", "puts JSON.generate(YAML.load(ERB.new(STDIN.read).result))"]
    read = subprocess.run(command, input=written, capture_output=True, text=True, check=True).stdout
    assert json.loads(read) == yaml.safe_load(written)
