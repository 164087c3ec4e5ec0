"""The part of AWX's API that its collection uses: objects by name, associations, surveys, approval templates. It
refuses what AWX refuses of what these data could get wrong, and runs nothing. Tests only; on loopback.

Source: https://ansible.readthedocs.io/projects/awx/en/24.6.1/rest_api/index.html
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.checkout import ROOT

TOKEN = "a-token-of-awx"
# Kinds of objects, and what the fields refer to.
KINDS: dict[str, dict[str, str]] = {
    "organizations": {},
    "credential_types": {},
    "execution_environments": {"organization": "organizations"},
    "credentials": {"organization": "organizations", "credential_type": "credential_types"},
    "projects": {"organization": "organizations", "default_environment": "execution_environments"},
    "inventories": {"organization": "organizations"},
    "inventory_sources": {"inventory": "inventories", "source_project": "projects", "credential": "credentials"},
    "job_templates": {"organization": "organizations", "project": "projects", "inventory": "inventories"},
    "workflow_job_templates": {"organization": "organizations"},
    "workflow_job_template_nodes": {"workflow_job_template": "workflow_job_templates"},
    "workflow_approval_templates": {},
    "schedules": {},
}
TEMPLATES = ("projects", "inventory_sources", "job_templates", "workflow_job_templates", "workflow_approval_templates")
SINGULAR = {kind: "inventory" if kind == "inventories" else kind.removesuffix("s") for kind in KINDS}


class RefusedError(Exception):
    def __init__(self, status: int, **body: Any) -> None:
        super().__init__(body)
        self.status, self.body = status, body


class Controller:
    """What it has, by kind and number, and what was asked of it."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.associations: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self._last = 0
        for name, kind in (("Machine", "ssh"), ("Vault", "vault")):  # AWX's own
            self.add("credential_types", {"name": name, "kind": kind})

    def named(self, kind: str, name: str) -> dict[str, Any]:
        [found] = [item for item in self.objects[kind].values() if item["name"] == name]
        return found

    def add(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._check(kind, fields)
        unique = ("identifier", "workflow_job_template") if "identifier" in fields else ("name", "organization")
        for other in self.objects[kind].values():
            if all(other.get(field) == fields.get(field) for field in unique):
                raise RefusedError(400, __all__=[f"{kind} with this {unique} already exists."])
        self._last += 1
        url = f"/api/v2/{kind}/{self._last}/"
        related = {"survey_spec": f"{url}survey_spec/", "update": f"{url}update/"}
        made = {
            **fields,
            "id": self._last,
            "type": SINGULAR[kind],
            "url": url,
            "related": related,
            "summary_fields": {},
        }
        if kind == "projects":
            made["scm_revision"] = "0123abcd"
        self.objects[kind][self._last] = made
        return made

    def change(self, kind: str, number: int, fields: dict[str, Any]) -> dict[str, Any]:
        self._check(kind, {**self.objects[kind][number], **fields})
        self.objects[kind][number].update(fields)
        return self.objects[kind][number]

    def _check(self, kind: str, fields: dict[str, Any]) -> None:
        for field, other in KINDS[kind].items():
            if fields.get(field) is not None and fields[field] not in self.objects[other]:
                raise RefusedError(400, **{field: [f"Invalid pk {fields[field]!r} - object does not exist."]})
        if kind == "job_templates" and not (ROOT / fields["playbook"]).is_file():
            raise RefusedError(400, playbook=["Playbook not found for project."])
        if kind == "inventory_sources":
            of_type = self.objects["credential_types"][
                self.objects["credentials"][fields["credential"]]["credential_type"]
            ]
            if of_type["kind"] in ("insights", "vault"):
                raise RefusedError(400, credential=["Credentials of type insights and vault are disallowed."])
        if kind == "credential_types":
            for variable in fields.get("injectors", {}).get("env", {}):
                if variable.startswith("ANSIBLE_"):
                    raise RefusedError(
                        400, injectors=[f"Environment variable {variable} may affect Ansible configuration."]
                    )
        if kind == "workflow_job_template_nodes" and fields.get("extra_data"):
            asked = self.surveys.get(("job_templates", fields["unified_job_template"]), {"spec": []})["spec"]
            if strangers := set(fields["extra_data"]) - {question["variable"] for question in asked}:
                raise RefusedError(400, extra_data=[f"Variables {strangers} are not allowed on launch."])

    def find(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        kinds = TEMPLATES if kind == "unified_job_templates" else (kind,)
        for field in query:
            if field not in ("name", "identifier", "type") and field not in {f for k in kinds for f in KINDS[k]} | {
                "unified_job_template"
            }:
                raise RefusedError(400, detail=f"{kind} has no field {field}")
        found = [item for one in kinds for item in self.objects[one].values()]
        return [item for item in found if all(str(item.get(field)) == value for field, value in query.items())]

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        self.requests.append((method, path))
        words = path.removeprefix("/api/v2/").strip("/").split("/")
        if words[0] == "project_updates":
            return 200, {
                "status": "successful",
                "finished": "now",
                "failed": False,
                "elapsed": 1,
                "scm_revision": "0123abcd",
            }
        kind = words[0]
        if kind != "unified_job_templates" and kind not in KINDS:
            raise RefusedError(404, detail="Not found.")
        match method, words[1:]:
            case "GET", []:
                found = self.find(kind, query)
                return 200, {"count": len(found), "next": None, "previous": None, "results": found}
            case "POST", []:
                return 201, self.add(kind, body)
        number = int(words[1])
        if number not in self.objects[kind]:
            raise RefusedError(404, detail="Not found.")
        match method, words[2:]:
            case "GET", []:
                return 200, self.objects[kind][number]
            case "PATCH", []:
                return 200, self.change(kind, number, body)
            case "GET", ["survey_spec"]:
                return 200, self.surveys.get((kind, number), {})
            case "POST", ["survey_spec"]:
                for question in body["spec"]:
                    if missing := {"type", "question_name", "variable", "required"} - set(question):
                        raise RefusedError(400, error=f"{missing} missing in a question.")
                self.surveys[kind, number] = body
                return 200, {}
            case "POST", ["update"] if kind == "projects":
                return 202, {"id": 1, "url": "/api/v2/project_updates/1/"}
            case "POST", ["create_approval_template"]:
                made = self.add("workflow_approval_templates", body)
                node = self.objects[kind][number]
                node["unified_job_template"] = made["id"]
                node["related"]["unified_job_template"] = made["url"]
                return 201, made
            case "GET", [("credentials" | "success_nodes" | "always_nodes" | "failure_nodes") as field]:
                results = [{"id": one} for one in self.associations.get((kind, number, field), [])]
                return 200, {"count": len(results), "next": None, "results": results}
            case "POST", [("credentials" | "success_nodes" | "always_nodes" | "failure_nodes") as field]:
                listed = self.associations.setdefault((kind, number, field), [])
                listed.remove(body["id"]) if body.get("disassociate") else listed.append(body["id"])
                return 204, None
        raise RefusedError(404, detail="Not found.")


@contextmanager
def serving(controller: Controller) -> Iterator[str]:
    """The URL at which it answers."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            try:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    raise RefusedError(401, detail="Authentication credentials were not provided.")
                with lock:
                    status, said = controller.answer(self.command, parts.path, dict(parse_qsl(parts.query)), body)
            except RefusedError as refused:
                status, said = refused.status, refused.body
            text = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_one  # noqa: N815 because http.server calls them so

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def mentions(text: str, *words: str) -> bool:
    """Whether all of them are in the text, however it is broken into lines."""
    flat = re.sub(r"\s+", " ", text)
    return all(word in flat for word in words)
