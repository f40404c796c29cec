"""What is done on the command line is in the audit trail, without what was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import app
from cli.recording import record_command
from tests.fixtures.command import Command


def test_commands_that_do_something_are_recorded_with_their_end(c360: Command, tmp_path: Path) -> None:
    c360(tmp_path, "init", "--json")
    c360(tmp_path, "sql", "SELECT 'ada@example.org' AS mail", "--json")
    assert c360(tmp_path, "pipeline", "run", "nothing", "--json").code == 1
    c360(tmp_path, "check")
    events = c360(tmp_path, "audit", "list", "--json").document["events"][::-1]
    assert [(event["action"], event["status"]) for event in events] == [
        ("init", 200),
        ("sql", 200),
        ("pipeline run", 500),
    ]
    assert len({event["principal"] for event in events}) == 1
    assert "ada" not in repr(events)
    assert c360(tmp_path, "audit", "verify", "--json").document["whole"]


def test_a_change_is_recorded_with_it_and_a_command_that_fails_by_its_end(c360: Command, tmp_path: Path) -> None:
    for name, code in (("team_a", 0), ("team_a", 1), ("team_b", 0)):
        assert c360(tmp_path, "group", "create", name, "--json").code == code
    events = c360(tmp_path, "audit", "list", "--json").document["events"][::-1]
    assert [(event["action"], event["status"]) for event in events] == [
        ("group create", 200),
        ("group create", 500),
        ("group create", 200),
    ]
    verified = c360(tmp_path, "audit", "verify", "--json").document
    assert verified["whole"]
    assert verified["rows_not_anchored_yet"] == 0


@pytest.mark.parametrize(
    "arguments", [["sql", "SELECT 1"], ["land", "sample"], ["nothing"], ["pipeline"], ["--help"], []], ids=" ".join
)
def test_without_a_control_database_nothing_is_made(arguments: list[str], tmp_path: Path) -> None:
    record_command(app, [*arguments, f"--home={tmp_path / 'home'}"], 0)
    assert list(tmp_path.iterdir()) == []
