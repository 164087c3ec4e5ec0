"""The files in awx/ agree with the playbooks, with what roles and modules take, and with AWX's own modules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.awx.templates import (
    TemplateError,
    nodes,
    workflow_questions,
)
from dateutil.rrule import rrulestr

from tests.awx_collection import awx_collection
from tests.checkout import ROOT


class Loader(yaml.SafeLoader):
    """Knows the mark for what is no template."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def read(path: str) -> Any:
    return yaml.load((ROOT / path).read_text(), Loader)  # noqa: S506 because it is a safe loader with one tag more


def data(name: str) -> Any:
    return read(f"awx/{name}.yml")[f"awx_{name}"]


PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
TEMPLATES = {template["name"]: template for template in data("job_templates")}
WORKFLOWS = {workflow["name"]: workflow for workflow in data("workflows")}
LEFT_OUT = read("awx/job_templates.yml")["awx_left_out"]
QUESTIONS = [
    pytest.param(template, question, id=f"{name}-{question['variable']}")
    for name, template in TEMPLATES.items()
    for question in template.get("survey", [])
]


def tasks(playbook: str) -> Iterator[dict[str, Any]]:
    """Tasks of a playbook, those in blocks too, and its roles."""

    def within(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for task in listed:
            yield task
            yield from within(task.get("block", []))

    for play in read(playbook):
        for part in ("pre_tasks", "tasks", "roles"):
            yield from within(play.get(part, []))


def asks_confirmation(playbook: str) -> bool:
    return any(task.get("ansible.builtin.import_tasks") == "tasks/confirmed.yml" for task in tasks(playbook))


def entry_options(role: str, entry: str) -> dict[str, Any]:
    specs = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    options: dict[str, Any] = specs[entry]["options"]
    return options


def module_options(name: str) -> dict[str, Any]:
    text = (ROOT / f"plugins/modules/{name.removeprefix('bulwark.hetzner.')}.py").read_text()
    found = re.search(r'DOCUMENTATION = r"""\n(.*?)"""', text, re.S)
    assert found
    options: dict[str, Any] = yaml.safe_load(found[1])["options"]
    return options


def fed(playbook: str, variable: str) -> list[dict[str, Any]]:
    """Options of roles and modules that take the variable: by its own name, as `{{ variable | default(…) }}`, or by way
    of a variable of all playbooks."""
    shared = [name for name, text in read("playbooks/group_vars/all.yml").items() if f" {variable} " in str(text)]
    derived = re.compile(r"\{\{\s*(" + "|".join(shared or ["(?!)"]) + r")\b.*\}\}")
    whole = re.compile(r"\{\{\s*" + variable + r"\s*\|\s*default\((.*?)\)\s*\}\}")
    found = []
    for task in tasks(playbook):
        for key, value in task.items():
            options: dict[str, Any] = {}
            given: dict[str, Any] = {}
            if key == "role":
                options, given = entry_options(value.rsplit(".", 1)[1], "main"), task.get("vars", {})
            elif key == "ansible.builtin.import_role":
                entry = {"restore.yml": "restore", "drill.yml": "drill"}.get(
                    value["tasks_from"], value["tasks_from"].removesuffix(".yml")
                )
                options, given = entry_options(value["name"].rsplit(".", 1)[1], entry), task.get("vars", {})
            elif key.startswith("bulwark.hetzner."):
                options, given = module_options(key), value or {}
            if variable in options:
                found.append(options[variable])
            for option, text in given.items():
                match = whole.fullmatch(str(text).strip())
                if match:
                    assert yaml.safe_load(match[1]) == options[option].get("default")
                    found.append(options[option])
                elif derived.fullmatch(str(text).strip()):
                    found.append(options[option])
    return found


def test_every_playbook_has_a_template_or_a_reason() -> None:
    used = {template["playbook"].removeprefix("playbooks/").removesuffix(".yml") for template in TEMPLATES.values()}
    assert used | set(LEFT_OUT) == PLAYBOOKS
    assert used & set(LEFT_OUT) == set()
    assert all(len(reason) > 20 for reason in LEFT_OUT.values())


def test_the_workflow_site_is_the_steps_of_the_playbook_site() -> None:
    imported = [play["ansible.builtin.import_playbook"].removesuffix(".yml") for play in read("playbooks/site.yml")]
    assert [step["run"] for step in WORKFLOWS["site"]["steps"] if step["run"] != "inventory"] == imported


@pytest.mark.parametrize(("template", "question"), QUESTIONS)
def test_a_question_agrees_with_the_option_it_feeds(template: dict[str, Any], question: dict[str, Any]) -> None:
    if question["variable"] == "confirm":
        assert asks_confirmation(template["playbook"])
        assert question["required"]
        assert "default" not in question
        return
    options = fed(template["playbook"], question["variable"])
    assert options, "nothing in the playbook takes it"
    for option in options:
        match option:
            case {"choices": choices}:
                assert question["type"] == "multiplechoice"
                assert question["choices"] == choices
                assert question["default"] == option["default"]
            case {"type": "bool"}:
                assert question["type"] == "multiplechoice"
                assert sorted(question["choices"]) == ["false", "true"]
                assert question["default"] == str(option["default"]).lower()
            case {"type": "str"}:
                assert question["type"] == "text"
                assert question["default"] == option["default"]
            case {"type": "list", "elements": "str"}:  # words with commas between, which Ansible takes for a list
                assert question["type"] == "text"
                assert question["default"] == ",".join(option["default"])
            case _:
                pytest.fail(f"no way to ask for {option}")


def losing(template: dict[str, Any]) -> bool:
    """Whether the job can destroy something or move the primary."""
    asked = {question["variable"] for question in template.get("survey", [])}
    return template.get("job_type") != "check" and (asks_confirmation(template["playbook"]) or "allow" in asked)


def test_a_job_that_can_lose_something_is_known_as_such_and_is_in_a_workflow() -> None:
    assert {name for name, template in TEMPLATES.items() if template.get("needs_approval")} == {
        name for name, template in TEMPLATES.items() if losing(template)
    }
    run = {step.get("run") for workflow in WORKFLOWS.values() for step in workflow["steps"]}
    assert {name for name, template in TEMPLATES.items() if losing(template)} <= run


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_a_workflow_loses_nothing_that_was_not_approved(workflow: dict[str, Any]) -> None:
    steps = workflow["steps"]
    for before, step in zip([{}, *steps], steps, strict=False):
        if step.get("run") in (None, "inventory"):
            continue
        template = TEMPLATES[step["run"]]
        assert step.get("confirm", False) == asks_confirmation(template["playbook"])
        if losing(template):
            assert "approval" in before
            assert step.get("after") != "always", "a refused approval would not keep it back"


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_who_approves_has_something_to_look_at(workflow: dict[str, Any]) -> None:
    for number, step in enumerate(workflow["steps"]):
        if "approval" in step:
            check = TEMPLATES[workflow["steps"][number - 1]["run"]]
            assert number > 0
            assert not losing(check)


@pytest.mark.parametrize("schedule", data("schedules"), ids=lambda schedule: schedule["name"])
def test_a_schedule_runs_something_harmless_without_questions(schedule: dict[str, Any]) -> None:
    template = TEMPLATES[schedule["run"]]
    assert not losing(template)
    assert "survey" not in template
    # The form that AWX asks for: https://ansible.readthedocs.io/projects/awx/en/24.6.1/rest_api/index.html
    assert re.fullmatch(r"DTSTART;TZID=\S+:\d{8}T\d{6} RRULE:FREQ=\w+;INTERVAL=\d+(;\w+=\w+)*", schedule["rrule"])
    first = rrulestr(schedule["rrule"].replace(" ", "\n"))[:2]
    assert (first[1] - first[0]).days in (1, 7)


def test_no_secret_and_no_registry_is_in_the_data() -> None:
    for credential in data_of_credentials()["awx_credentials"]:
        assert set(credential) == {"name", "type", "description"}
    for kind in data_of_credentials()["awx_credential_types"]:
        fields = {field["id"] for field in kind["inputs"]["fields"]}
        assert all(field["secret"] for field in kind["inputs"]["fields"])
        for variable, value in kind["injectors"]["env"].items():
            assert re.fullmatch(r"\{\{ (\w+) \}\}", value)
            assert value.strip("{ }") in fields
            assert not variable.startswith("ANSIBLE_"), "AWX refuses it"


def data_of_credentials() -> Any:
    return read("awx/credentials.yml")


def test_credentials_carry_the_variables_that_the_modules_read() -> None:
    carried = {name for kind in data_of_credentials()["awx_credential_types"] for name in kind["injectors"]["env"]}
    fragments = "".join(path.read_text() for path in (ROOT / "plugins/doc_fragments").glob("*.py"))
    assert {
        f"{name}_API_TOKEN" if name == "CLOUDFLARE" else f"{name}_TOKEN" for name in ("CLOUDFLARE", "HCLOUD")
    } == carried
    assert all(name in fragments for name in carried)


@pytest.fixture(scope="module")
def modules() -> dict[str, dict[str, Any]]:
    """Options of AWX's modules by their documentation, which holds aliases, types and choices."""
    folder = awx_collection() / "ansible_collections/awx/awx/plugins/modules"
    found = {}
    for path in folder.glob("*.py"):
        text = re.search(r"DOCUMENTATION = r?'''\n(.*?)'''", path.read_text(), re.S)
        if text:
            found[f"awx.awx.{path.stem}"] = yaml.safe_load(text[1])["options"]
    return found


def test_awx_modules_are_given_options_that_they_have(modules: dict[str, dict[str, Any]]) -> None:
    used = 0
    for task in tasks("playbooks/awx.yml"):
        for name, given in task.items():
            if not name.startswith("awx.awx."):
                continue
            used += 1
            options = modules[name]
            assert set(given) <= set(options)
            assert {option for option, about in options.items() if about.get("required")} <= set(given)
            for option, value in given.items():
                if isinstance(value, str) and "{{" in value:
                    continue
                kind = {"bool": bool, "int": int, "str": str, "dict": dict, "list": list}[options[option]["type"]]
                assert isinstance(value, kind)
                assert value in options[option].get("choices", [value])
    assert used >= 12


def test_values_from_the_data_are_among_the_choices_of_awx(modules: dict[str, dict[str, Any]]) -> None:
    job = modules["awx.awx.job_template"]
    assert {template.get("job_type", "run") for template in TEMPLATES.values()} <= set(job["job_type"]["choices"])
    source = data_of_inventory()
    assert source["source"] in modules["awx.awx.inventory_source"]["source"]["choices"]
    assert set(source) <= set(modules["awx.awx.inventory_source"])
    kinds = modules["awx.awx.credential_type"]["kind"]["choices"]
    assert {kind["kind"] for kind in data_of_credentials()["awx_credential_types"]} <= set(kinds)


def data_of_inventory() -> Any:
    return read("awx/inventory.yml")["awx_inventory_source"]


def test_the_inventorys_paths_are_options_of_the_plugin() -> None:
    text = (ROOT / "plugins/inventory/servers.py").read_text()
    for variable in data_of_inventory()["source_vars"]:
        assert variable == "ANSIBLE_COLLECTIONS_PATH" or f"- name: {variable}" in text


def test_an_execution_environment_is_built_from_the_lists_of_the_repository() -> None:
    definition = read("execution-environment.yml")
    assert definition["version"] == 3
    assert (ROOT / definition["dependencies"]["galaxy"]).is_file()
    assert (ROOT / definition["dependencies"]["python"]).is_file()
    wanted = (ROOT / definition["dependencies"]["python"]).read_text()
    assert definition["dependencies"]["ansible_core"]["package_pip"] in wanted.splitlines()
    assert definition["images"]["base_image"]["name"].startswith("localhost/"), "no registry is named in this project"


def test_steps_become_nodes_that_lead_on() -> None:
    workflow = {
        "name": "w",
        "steps": [{"run": "a"}, {"approval": "Sure?", "after": "always"}, {"run": "b", "confirm": True}],
    }
    first, approval, last = nodes([workflow], "lab", "servers")
    assert (first["template"], first["always_nodes"], first["success_nodes"]) == ("lab: a", ["2 approval"], [])
    assert (approval["template"], approval["success_nodes"]) == (None, ["3 b"])
    assert approval["approval"] == {"name": "lab: w: 2 approval", "description": "Sure?"}
    assert (last["extra_data"], last["success_nodes"], last["always_nodes"]) == ({"confirm": "lab"}, [], [])


def test_a_workflow_asks_each_question_once_and_never_for_confirmation() -> None:
    asks = [{"variable": "member"}, {"variable": "confirm"}]
    templates = [{"name": "a", "survey": asks}, {"name": "b", "survey": asks}]
    workflow = {"name": "w", "steps": [{"run": "a"}, {"run": "inventory"}, {"approval": "Sure?"}, {"run": "b"}]}
    assert workflow_questions(workflow, templates) == [{"variable": "member"}]


def test_a_step_that_is_no_template_is_refused() -> None:
    with pytest.raises(TemplateError, match='workflow "w" runs "c", which is no job template'):
        workflow_questions({"name": "w", "steps": [{"run": "c"}]}, [])
