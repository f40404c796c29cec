"""Every operation of the OpenAPI document, with each group's key, against a real server.

An operation that is new here fails ``test_each_operation_is_reached`` until ``REQUESTS`` says how it is reached.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from threading import Thread
from typing import Any

import httpx2 as httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from api.compose import build, describe, open_store
from governance.api_keys import IssuedKey, create_key, issue_key
from governance.group_graph import BUILT_IN
from governance.groups import add_member, create_group, nest
from governance.principals import create_principal
from kit.db import Database
from kit.ids import new_id
from kit.settings import Settings
from tests.fixtures.serving import Served
from workers import queue
from workers.migrate import upgrade
from workers.schedules import Plan, create_schedule

DOCUMENT: dict[str, Any] = json.loads(describe())
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation.get("x-scopes"))
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
HELD = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)
WORDS = json.dumps(DOCUMENT)


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Signals belong to the test run."""


@dataclass
class Site:
    """A server, and a key of each group."""

    base: str
    database: Database
    keys: dict[str, IssuedKey]
    http: httpx.Client

    def ask(self, key: IssuedKey | None, method: str, path: str, **request: Any) -> Any:
        headers = {"Authorization": f"Bearer {key.secret}"} if key else {}
        return self.http.request(method, self.base + path, headers=headers, **request)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    chosen = Settings(home=tmp_path_factory.mktemp("site"), database_url="", online_map_mb=64)
    database = Database(chosen.control_database_url)
    upgrade(database)
    with database.transaction() as session:
        keys = {group: create_key(session, name=group, groups=[group]) for group in BUILT_IN}
    listener = socket.create_server(("127.0.0.1", 0))
    with open_store(chosen, writable=True) as store, httpx.Client(timeout=60) as http:
        app = build(chosen, store=store)
        Served(chosen, database, store, app, http, "", "").publish(["C1"], version=1)  # type: ignore[arg-type]
        server = _Server(uvicorn.Config(app, access_log=False, log_level="warning", ws="none"))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Site(base, database, keys, http)
        server.should_exit = True
        thread.join(30)
    listener.close()
    database.close()


class Things:
    """New things for each request, so that no operation has to follow another one."""

    def __init__(self, site: Site) -> None:
        self._database, self.admin = site.database, site.keys["admin"]
        with self._database.transaction() as session:
            self.principal_id = create_principal(session, "somebody").id
            self.key_id = issue_key(session, self.principal_id).id
            self.group, self.member = (new_id("g").replace("_", "-") for _ in range(2))
            for name in (self.group, self.member):
                create_group(session, name)
            self.schedule = new_id("s").replace("_", "-")
            create_schedule(session, self.schedule, Plan("daily", cron="0 6 * * *"), created_by="test")
        self.customer_id, self.name = "C1", "daily"

    def run(self, *, ended: bool) -> dict[str, Any]:
        with self._database.transaction() as session:
            run = queue.enqueue(
                session, pipeline="daily", as_of=date(2026, 2, 1), trigger="test", requested_by=self.principal_id
            )
            if ended:
                queue.cancel(session, run.id)
            return {"path": {"run_id": run.id}}

    def nested(self) -> dict[str, Any]:
        with self._database.transaction() as session:
            nest(session, self.group, self.member)
            add_member(session, self.group, self.principal_id)
        return {}


REQUESTS: dict[str, Callable[[Things], dict[str, Any]]] = {
    "create_principal": lambda _: {"json": {"name": "web shop", "groups": ["partner"]}},
    "issue_key": lambda _: {"json": {"name": "till 1"}},
    "rotate_key": lambda _: {"json": {"grace_seconds": 60}},
    "create_group": lambda _: {"json": {"name": new_id("g").replace("_", "-"), "scopes": ["runs:read"]}},
    "set_group_scopes": lambda _: {"json": {"scopes": ["runs:read"]}},
    "remove_group_principal": Things.nested,
    "remove_group_group": Things.nested,
    "get_run": lambda things: things.run(ended=False),
    "cancel_run": lambda things: things.run(ended=False),
    "follow_run": lambda things: things.run(ended=True),
    "retry_run": lambda things: things.run(ended=True),
    "put_schedule": lambda _: {"json": {"pipeline": "daily", "cron": "30 7 * * 1-5", "time_zone": "Europe/Berlin"}},
    "create_token": lambda things: {
        "data": {"grant_type": "client_credentials", "client_id": things.admin.id, "client_secret": things.admin.secret}
    },
}
"""How an operation is reached where parameters of the path, taken from ``Things``, do not suffice."""


@pytest.mark.parametrize("operation", [name for name, (_, _, scopes) in OPERATIONS.items() if scopes])
def test_each_operation_is_reached_by_every_group_that_may_and_by_no_other(site: Site, operation: str) -> None:
    method, template, (scope,) = OPERATIONS[operation]
    may = {group for group, scopes in BUILT_IN.items() if scope in scopes}
    assert may, "somebody may"
    assert may != set(BUILT_IN), "not everybody may"
    for group in may:
        response = reach(site, site.keys[group], method, template, operation)
        assert response.status_code // 100 == 2, response.text
    for group in set(BUILT_IN) - may:
        response = site.ask(site.keys[group], method, re.sub(r"\{\w+\}", "anything", template))
        assert (response.status_code, response.json()["code"]) == (403, "access.missing_scope")
        assert response.headers["www-authenticate"].endswith(f'error="insufficient_scope", scope="{scope}"')


def reach(site: Site, key: IssuedKey | None, method: str, template: str, operation: str) -> Any:
    """An answer to a request that makes sense, about things of its own."""
    things = Things(site)
    request = REQUESTS.get(operation, lambda _: {})(things)
    named = request.pop("path", {})
    path = re.sub(r"\{(\w+)\}", lambda found: named.get(found[1]) or getattr(things, found[1]), template)
    return site.ask(key, method, path, **request)


@pytest.mark.parametrize("operation", [name for name, (_, _, scopes) in OPERATIONS.items() if not scopes])
def test_each_open_operation_is_reached_by_all(site: Site, operation: str) -> None:
    method, path, _ = OPERATIONS[operation]
    response = reach(site, None, method, path, operation)
    assert response.status_code == 200, response.text


def holds(site: Site, operation: str, *, examples: int) -> None:
    """No answer that the document does not describe, none of 5xx, and none that repeats what was sent."""
    described = SCHEMA.find_operation_by_id(operation)
    modes = [described.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    scopes = OPERATIONS[operation][2] or [None]
    may = [group for group, given in BUILT_IN.items() if scopes[0] is None or scopes[0] in given]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(modes), group=st.sampled_from(may * len(BUILT_IN) + list(BUILT_IN)))
    def check(case: schemathesis.Case, group: str) -> None:
        response = case.call(
            base_url=site.base,
            headers={"Authorization": f"Bearer {site.keys[group].secret}"},
            allow_redirects=False,
            timeout=60,
        )
        case.validate_response(response, checks=HELD)
        if response.status_code >= 400:
            text = re.sub(r'"instance":"(?:[^"\\]|\\.)*"', "", response.text)
            assert [value for value in sent(case) if value in text] == []

    check()


def sent(case: schemathesis.Case) -> list[str]:
    """Texts of the request that could not stand in the answer by chance."""
    found: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                collect(name)
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif isinstance(value, str) and len(value) >= 5 and value not in WORDS:
            found.append(value)

    for part in (case.body, dict(case.query or {}), dict(case.path_parameters or {}), dict(case.headers or {})):
        collect(part)
    return found


FUZZED = list(OPERATIONS)


@pytest.mark.parametrize("operation", FUZZED)
def test_no_request_makes_an_operation_answer_what_it_does_not_say(site: Site, operation: str) -> None:
    holds(site, operation, examples=12)


@pytest.mark.long
@pytest.mark.parametrize("operation", FUZZED)
def test_no_request_of_very_many_makes_an_operation_answer_what_it_does_not_say(site: Site, operation: str) -> None:
    holds(site, operation, examples=400)


def test_what_an_answer_repeats_would_be_seen() -> None:
    operation = SCHEMA.find_operation_by_id("create_principal")
    assert "somebody's name" in sent(operation.Case(body={"name": "somebody's name", "kind": "service"}))
    assert "service" not in sent(operation.Case(body={"kind": "service"}))
