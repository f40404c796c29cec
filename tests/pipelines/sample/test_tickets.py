"""The sample's help desk: the same rows for the same parameters, a commit a day, and tickets one can believe in."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from pipelines.sample import LandingNotEmpty, land_sample
from pipelines.sample.tickets import TICKET_FAULTS
from tests.help_desk import HelpDesk, ticket

UNTIL = date(2025, 11, 23)
FOLDER = "support/tickets"


def rows(landing: Path) -> list[dict[str, Any]]:
    table = DeltaTable(landing / FOLDER).to_pyarrow_table().to_pylist()
    return sorted(table, key=lambda row: row["ticket_id"])


def changes(landing: Path) -> list[list[tuple[str, str]]]:
    """(change, ticket) of every commit but the first."""
    table = DeltaTable(landing / FOLDER)
    feed = pa.table(table.load_cdf(starting_version=1)).to_pylist()
    commits: list[list[tuple[str, str]]] = [[] for _ in range(table.version())]
    for row in feed:
        commits[row["_commit_version"] - 1].append((row["_change_type"], row["ticket_id"]))
    return [sorted(commit) for commit in commits]


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    landing = tmp_path_factory.mktemp("landing")
    for days in (0, 3):
        land_sample(landing, customers=3000, until=UNTIL + timedelta(days=days))
    return landing


def test_the_same_parameters_give_the_same_rows_and_changes(landing: Path, tmp_path: Path) -> None:
    for days in (0, 1, 3):
        land_sample(tmp_path, customers=3000, until=UNTIL + timedelta(days=days))
    assert rows(tmp_path) == rows(landing)
    assert changes(tmp_path) == changes(landing)


def test_a_killed_landing_goes_on_where_it_was(landing: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def die(folder: str, done: int, _total: int) -> None:
        if (folder, done) == (FOLDER, 4):
            raise Killed

    with pytest.raises(Killed):
        land_sample(tmp_path, customers=3000, until=UNTIL, progress=die)
    land_sample(tmp_path, customers=3000, until=UNTIL)
    landed = land_sample(tmp_path, customers=3000, until=UNTIL + timedelta(days=3))
    assert changes(tmp_path) == changes(landing)
    assert landed.records[FOLDER] == land_sample(landing, customers=3000, until=UNTIL).records[FOLDER]


def test_each_day_is_one_commit_with_every_kind_of_change(landing: Path) -> None:
    commits = changes(landing)
    assert len(commits) == 14 + 3
    kinds = Counter(kind for commit in commits for kind, _ in commit)
    assert kinds["update_preimage"] == kinds["update_postimage"] > 200
    assert kinds["insert"] > 50
    assert kinds["delete"] > 0
    for commit in commits:
        once = Counter(ticket_id for kind, ticket_id in commit if kind != "update_preimage")
        assert set(once.values()) <= {1}


def test_states_hold_together(landing: Path) -> None:
    found = rows(landing)
    assert len({row["ticket_id"] for row in found}) == len(found) > 2000
    closed = [row for row in found if row["status"].lower() in ("closed", "done")]
    assert 0.85 < len(closed) / len(found) < 0.98
    for row in found:
        assert row["created_at"] <= row["updated_at"]
        assert row["created_at"].date() <= UNTIL + timedelta(days=3)
        assert (row["resolved_at"] is not None) or row["status"].lower() not in ("closed", "done", "resolved", "solved")
        assert row["satisfaction_score"] is None or row["status"].lower() in ("closed", "done", "escalated?", "-")
    scores = Counter(row["satisfaction_score"] for row in closed)
    assert scores[5] > scores[3] > scores[1] > 0
    assert {row["category"].lower()[:6] for row in found} == {
        "delive",
        "return",
        "paymen",
        "billin",
        "produc",
        "damage",
        "accoun",
        "login",
    }


def test_dirt_is_there_in_about_its_share(landing: Path) -> None:
    landed = land_sample(landing, customers=3000, until=UNTIL)
    injected = landed.injected[FOLDER]
    for name in ("blank_customer_id", "padded_customer_id", "blank_subject"):
        expected = TICKET_FAULTS[name] * landed.records[FOLDER]
        assert expected / 3 <= injected[name] <= expected * 2, name
    assert set(injected) == set(TICKET_FAULTS)


def test_a_help_desk_of_others_is_left_alone(tmp_path: Path) -> None:
    HelpDesk(tmp_path).create([ticket("t1")])
    with pytest.raises(LandingNotEmpty):
        land_sample(tmp_path, customers=10, until=UNTIL)
