"""playbooks/awx.yml with the modules of awx.awx, against the API that they use."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.awx_collection import awx_collection
from tests.checkout import ROOT, ansible_environment, tool
from tests.integration.awx.controller import TOKEN, Controller, mentions, serving
from tests.launcher import recap


def apply(url: str, *more: str, token: str = TOKEN, playbook: Path = ROOT / "playbooks/awx.yml") -> tuple[int, str]:
    done = subprocess.run(
        [tool("ansible-playbook"), "-i", "localhost,", str(playbook), *more],
        cwd=ROOT,
        env=ansible_environment(
            ANSIBLE_COLLECTIONS_PATH=f"{ROOT / '.collections'}:{awx_collection()}:{sysconfig.get_path('purelib')}",
            CONTROLLER_HOST=url,
            CONTROLLER_OAUTH_TOKEN=token,
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stdout + done.stderr


IMAGE = ("-e", "awx_execution_environment_image=registry.example/bulwark-ee:1")


@pytest.fixture(scope="module")
def awx() -> Iterator[tuple[Controller, str, str]]:
    """The API after one run, its URL, and what the run said."""
    controller = Controller()
    with serving(controller) as url:
        code, text = apply(url, *IMAGE)
        assert code == 0, text
        yield controller, url, text


@pytest.mark.full
def test_the_second_run_changes_nothing(awx: tuple[Controller, str, str]) -> None:
    controller, url, first = awx
    assert recap(first)["localhost"].changed > 5
    before = len(controller.requests)
    code, text = apply(url, *IMAGE)
    assert code == 0, text
    assert recap(text)["localhost"].changed == 0
    writes = [request for request in controller.requests[before:] if request[0] != "GET"]
    # That AWX looks for new playbooks is no change of its data.
    assert {(method, path.rstrip("/").rsplit("/", 1)[1]) for method, path in writes} == {("POST", "update")}


@pytest.mark.full
def test_what_is_drifted_is_set_right(awx: tuple[Controller, str, str]) -> None:
    controller, url, _ = awx
    template = controller.named("job_templates", "production: restore")
    template["allow_simultaneous"] = True
    assert apply(url, *IMAGE)[0] == 0
    assert template["allow_simultaneous"] is False


def test_a_destructive_job_comes_after_its_approval(awx: tuple[Controller, str, str]) -> None:
    """Followed through the nodes as AWX would, not as the data say it."""
    controller, _, _ = awx
    nodes = controller.objects["workflow_job_template_nodes"]
    templates = controller.objects["job_templates"]
    destructive = 0
    for number, node in nodes.items():
        template = templates.get(node["unified_job_template"])
        if not template or template["job_type"] == "check" or not node.get("extra_data"):
            continue
        destructive += 1
        assert node["extra_data"] == {"confirm": "production"}
        parents = [
            (parent, field)
            for (kind, parent, field), children in controller.associations.items()
            if kind == "workflow_job_template_nodes" and number in children
        ]
        assert [field for _, field in parents] == ["success_nodes"]
        approval = nodes[parents[0][0]]["unified_job_template"]
        assert approval in controller.objects["workflow_approval_templates"]
    assert destructive >= 6


def test_no_secret_is_sent(awx: tuple[Controller, str, str]) -> None:
    controller, _, _ = awx
    assert len(controller.objects["credentials"]) == 4
    assert all("inputs" not in credential for credential in controller.objects["credentials"].values())


def test_the_inventory_comes_from_the_project_before_every_job(awx: tuple[Controller, str, str]) -> None:
    controller, _, _ = awx
    source = controller.named("inventory_sources", "production: servers")
    assert source["source"] == "scm"
    assert (ROOT / source["source_path"]).is_file()
    assert source["update_on_launch"]
    assert source["update_cache_timeout"] == 0


@pytest.mark.parametrize(
    ("arguments", "token", "sentence"),
    [
        pytest.param((), TOKEN, "-e awx_execution_environment_image=", id="no-image"),
        pytest.param(IMAGE, "", "CONTROLLER_OAUTH_TOKEN", id="no-token"),
        pytest.param(
            (*IMAGE, "-e", "awx_environment=nowhere"), TOKEN, "no inventories/nowhere/servers.yml", id="environment"
        ),
    ],
)
def test_bad_input_is_refused_before_the_first_request(arguments: tuple[str, ...], token: str, sentence: str) -> None:
    controller = Controller()
    with serving(controller) as url:
        code, text = apply(url, *arguments, token=token)
    assert code != 0
    assert mentions(text, "Nothing has been changed.", sentence)
    assert controller.requests == []


def test_a_vault_that_awx_could_not_read_is_refused(tmp_path: Path) -> None:
    for folder in ("awx", "inventories", "playbooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "inventories/production/group_vars/all/vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6130\n")
    controller = Controller()
    with serving(controller) as url:
        code, text = apply(url, *IMAGE, playbook=tmp_path / "playbooks/awx.yml")
    assert code != 0
    assert mentions(text, "inventories/production/group_vars/all/vault.yml is encrypted as a whole")
    assert controller.requests == []
