"""The run queue at the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.installation import Installation
from kit.settings import Settings
from pipelines.runner import PIPELINES
from tests.fixtures.command import Command
from tests.fixtures.runs import Runs
from workers import claims


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    installation = Installation(Settings(home=tmp_path))
    yield Runs(installation.database)
    installation.database.close()


def test_runs_are_listed_newest_first_by_state_and_page(runs: Runs, tmp_path: Path, c360: Command) -> None:
    first, second, third = sorted(runs.enqueue().id for _ in range(3))
    runs.do(claims.fail, runs.must_claim(run_id=second), code="x", message="it failed")

    def ids(*arguments: str) -> list[str]:
        return [run["id"] for run in c360(tmp_path, "run", "list", *arguments, "--json").document["runs"]]

    assert ids() == [third, second, first]
    assert ids("--state", "failed") == [second]
    assert ids("--limit", "1", "--before", second) == [first]
    assert ids("--pipeline", "system") == []
    assert second in c360(tmp_path, "run", "list").stdout


def test_one_run_is_shown_cancelled_and_repeated(runs: Runs, tmp_path: Path, c360: Command) -> None:
    asked = runs.enqueue()
    assert c360(tmp_path, "run", "cancel", asked.id, "--json").document["state"] == "cancelled"
    again = c360(tmp_path, "run", "retry", asked.id, "--json").document
    assert (again["state"], again["retry_of"], again["trigger"]) == ("queued", asked.id, "retry")
    part = runs.enqueue(parent_id=again["id"])
    assert c360(tmp_path, "run", "show", again["id"], "--json").document == again | {"children": [part.id]}
    assert "state: queued" in c360(tmp_path, "run", "show", again["id"]).stdout
    assert c360(tmp_path, "run", "show", "run_none", "--json").error["code"] == "run.unknown"


@pytest.mark.parametrize(("end", "code"), [("finish", 0), ("fail", 1)])
def test_a_run_is_followed_to_its_end(runs: Runs, tmp_path: Path, c360: Command, end: str, code: int) -> None:
    runs.enqueue()
    claimed = runs.must_claim()
    if end == "finish":
        runs.do(claims.finish, claimed, {})
    else:
        runs.do(claims.fail, claimed, code="x", message="it failed")
    watched = c360(tmp_path, "run", "watch", claimed.id, "--json")
    assert (watched.code, [event["seq"] for event in watched.document["events"]]) == (code, [1, 2, 3])
    assert c360(tmp_path, "run", "watch", claimed.id, "--after", "2").stdout.count("state=") == 1


def test_pipelines_are_listed(tmp_path: Path, c360: Command) -> None:
    listed = c360(tmp_path, "pipeline", "list", "--json").document["pipelines"]
    assert [pipeline["name"] for pipeline in listed] == list(PIPELINES)
    assert "gold.customer_360" in listed[0]["datasets"]
