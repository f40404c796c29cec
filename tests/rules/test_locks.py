"""The locks: everything that is installed is pinned and hashed, and pyproject.toml says nothing else."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.fixtures.parts import PROJECT

LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock", "requirements-postgres.lock")
EXACT = {"duckdb": "1.5.5", "deltalake": "1.6.6", "sqlglot": "30.30.0", "pyspark": "4.2.0"}
"""Versions that a decision rests on: the dialect, the commit protocol and the Delta jars were tried with these."""


def pins(lock: str) -> dict[str, str]:
    """Version by name."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (PROJECT / lock).read_text(encoding="utf-8"), re.MULTILINE))


def declared() -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    text = (PROJECT / lock).read_text(encoding="utf-8")
    requirements = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    assert requirements
    whole = re.compile(r"[a-z0-9-]+==[\w.]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+")
    assert [line[:60] for line in requirements if not whole.fullmatch(line)] == []


def test_the_locks_agree() -> None:
    tools = pins("requirements-dev.lock")
    for lock in LOCKS:
        assert {name: tools.get(name) for name in pins(lock)} == pins(lock)


def test_the_locks_hold_what_is_declared() -> None:
    project, groups = declared()["project"], declared()["dependency-groups"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    tools = [line for lines in groups.values() for line in lines if isinstance(line, str)]
    for lines, lock in (
        (project["dependencies"], LOCKS[0]),
        (groups["build"], LOCKS[1]),
        ([*extras, *tools], LOCKS[2]),
        ([*project["dependencies"], *project["optional-dependencies"]["postgres"]], LOCKS[3]),
    ):
        locked = pins(lock)
        for requirement in map(Requirement, lines):
            assert requirement.specifier.contains(locked[requirement.name]), f"run make lock: {requirement}"


def test_versions_that_decisions_rest_on_are_exact() -> None:
    project = declared()["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["spark"]]
    assert {item.name: str(item.specifier) for item in map(Requirement, lines) if item.name in EXACT} == {
        name: f"=={version}" for name, version in EXACT.items()
    }


def test_the_default_installation_needs_no_java_and_no_server() -> None:
    assert {"pyspark", "py4j", "psycopg"}.isdisjoint(pins("requirements.lock"))
    assert {"pyspark", "psycopg"} <= pins("requirements-dev.lock").keys()
