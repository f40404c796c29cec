"""compose.yaml fits the image and the command line. (That it starts is tried where there is Docker.)"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from cli.main import app
from kit.settings import Settings
from tests.fixtures.parts import PROJECT

DATABASE = "C360_DATABASE_URL"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (PROJECT / "Dockerfile").read_text(encoding="utf-8")


def ours(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in compose["services"].items() if service.get("image") == "customer360"}


def test_there_are_an_api_a_worker_and_a_database(compose: dict[str, Any]) -> None:
    assert {"api", "worker", "postgres"} <= compose["services"].keys()


def test_each_of_our_services_is_a_command_of_ours(compose: dict[str, Any], dockerfile: str) -> None:
    assert 'ENTRYPOINT ["c360"]' in dockerfile
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    for name, service in ours(compose).items():
        assert service["command"][0] in commands, name
        assert service["build"] == "."


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    for service in ours(compose).values():
        for variable in service["environment"]:
            assert variable.removeprefix("C360_").lower() in Settings.model_fields


def test_all_share_one_database_and_one_home(compose: dict[str, Any], dockerfile: str) -> None:
    home = re.search(r"C360_HOME=(\S+)", dockerfile)
    assert home is not None
    assert f"VOLUME {home[1]}" in dockerfile
    services = ours(compose).values()
    assert len({service["environment"][DATABASE] for service in services}) == 1
    assert all(f"home:{home[1]}" in service["volumes"] for service in services)
    postgres = compose["services"]["postgres"]["environment"]
    url = next(iter(services))["environment"][DATABASE]
    assert url.startswith(f"postgresql+psycopg://{postgres['POSTGRES_USER']}:")
    assert url.endswith(f"@postgres:5432/{postgres['POSTGRES_DB']}")
    mentioned = {volume.partition(":")[0] for item in compose["services"].values() for volume in item["volumes"]}
    assert mentioned == compose["volumes"].keys()


def test_the_image_has_the_driver_of_the_database(dockerfile: str) -> None:
    installed = re.search(r"-r (requirements[\w-]*\.lock) ", dockerfile)
    assert installed is not None
    assert re.search("^psycopg==", (PROJECT / installed[1]).read_text(encoding="utf-8"), re.MULTILINE)


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    text = (PROJECT / "compose.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)(.*?)\}", text)) == {("C360_POSTGRES_PASSWORD", ":?choose one")}


def test_whoever_needs_another_waits_for_it(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["init"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["postgres"]["healthcheck"]["test"][0] == "CMD-SHELL"
    assert shlex.split(services["postgres"]["healthcheck"]["test"][1])[0] == "pg_isready"
    for name in ("api", "worker"):
        assert services[name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}


def test_a_worker_has_time_to_leave_in_good_order(compose: dict[str, Any]) -> None:
    grace = int(compose["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings.model_fields["worker_grace_seconds"].default + 10


def test_the_api_is_published_on_this_machine_only(compose: dict[str, Any], dockerfile: str) -> None:
    assert compose["services"]["api"]["ports"] == ["127.0.0.1:8000:8000"]
    assert "C360_PORT=8000" in dockerfile
