"""AUTO CDC against a model that a reader can check by eye: any versions in any order lead to the states they should."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lakehouse.dataset import AutoCdc, Column, Dataset, NoSubject
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.engine import Session
from lakehouse.properties import arrow_schema
from pipelines.flows.cdc import states_sql

FLOW = AutoCdc(
    keys=("history", "customer"),
    sequence_by=("at", "delivered", "line"),
    stored_as_scd_type=2,
    track_history_except_column_list=("note", "at"),
)
CURRENT = Dataset(
    name="silver.states",
    comment="States.",
    columns=(
        Column("history", "BIGINT", "Which generated history.", nullable=False),
        Column("customer", "STRING", "Key.", nullable=False),
        Column("tier", "STRING", "Tracked."),
        Column("points", "INT", "Tracked."),
        Column("note", "STRING", "Not tracked."),
        Column("at", "TIMESTAMP", "Instant of the version; not tracked."),
    ),
    flow=FLOW,
    subject=NoSubject("made up"),
)
HISTORY = replace(
    CURRENT,
    columns=(
        *CURRENT.columns,
        Column("__START_AT", "TIMESTAMP", "From.", nullable=False),
        Column("__END_AT", "TIMESTAMP", "Until."),
    ),
)
VERSIONS = arrow_schema(CURRENT).append(pa.field("delivered", pa.int64())).append(pa.field("line", pa.string()))
INSTANTS = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)]


class Version(NamedTuple):
    """One record version of a customer, as a source delivers it."""

    customer: str
    tier: str | None
    points: int | None
    note: str | None
    at: datetime
    delivered: int
    line: str


versions = st.builds(
    Version,
    customer=st.sampled_from(["c1", "c2"]),
    tier=st.sampled_from(["gold", "Gold", None]),
    points=st.sampled_from([0, 1, None]),
    note=st.sampled_from(["x", "y", None]),
    at=st.sampled_from(INSTANTS),
    delivered=st.integers(1, 2),
    line=st.sampled_from(["10", "9", "a", "Z", "é"]),
)
histories = st.lists(versions, min_size=1, max_size=9, unique_by=lambda v: (v.customer, v.at, v.delivered, v.line))


def model_current(history: list[Version]) -> list[Version]:
    newest: dict[str, Version] = {}
    for version in sorted(history, key=sequence):
        newest[version.customer] = version
    return list(newest.values())


def model_history(history: list[Version]) -> list[tuple[Version, datetime, datetime | None]]:
    states: list[tuple[Version, datetime, datetime | None]] = []
    for _, own in groupby(sorted(history, key=lambda v: (v.customer, *sequence(v))), key=lambda v: v.customer):
        by_instant = {version.at: version for version in own}  # the last of an instant counts
        runs: list[list[Version]] = []
        for version in by_instant.values():
            if runs and tracked(runs[-1][-1]) == tracked(version):
                runs[-1].append(version)
            else:
                runs.append([version])
        starts = [run[0].at for run in runs]
        states += zip((run[-1] for run in runs), starts, [*starts[1:], None], strict=True)
    return states


def sequence(version: Version) -> tuple[datetime, int, str]:
    return version.at, version.delivered, version.line


def tracked(version: Version) -> tuple[str | None, int | None]:
    return version.tier, version.points


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One session for all examples: a view is loaded anew for each."""
    home = tmp_path_factory.mktemp("cdc")
    engine = EmbeddedEngine(home / "lake", scratch=home / "scratch", memory_limit_mb=512, threads=2)
    with engine.session(date(2026, 2, 1)) as opened:
        yield opened


def states(session: Session, dataset: Dataset, flow: AutoCdc, batch: list[list[Version]]) -> list[dict[str, Any]]:
    rows = [{"history": number, **version._asdict()} for number, history in enumerate(batch) for version in history]
    random.Random(len(rows)).shuffle(rows)
    session.load("versions", pa.Table.from_pylist(rows, schema=VERSIONS))
    columns = ", ".join(dataset.column_names)
    return session.fetch(f"SELECT {columns} FROM ({states_sql(dataset, flow, 'versions')}) AS s").to_pylist()


def stored(number: int, version: Version) -> dict[str, Any]:
    return {
        "history": number,
        **{name: getattr(version, name) for name in ("customer", "tier", "points", "note", "at")},
    }


def assert_whole(rows: list[dict[str, Any]], batch: list[list[Version]]) -> None:
    """Every key has one current state, and its states follow each other without gap, overlap or repetition."""
    rows = sorted(rows, key=lambda row: (row["history"], row["customer"], row["__START_AT"]))
    found = {of: list(own) for of, own in groupby(rows, key=lambda row: (row["history"], row["customer"]))}
    assert set(found) == {(number, version.customer) for number, history in enumerate(batch) for version in history}
    for own in found.values():
        assert all(
            earlier["__END_AT"] == later["__START_AT"] > earlier["__START_AT"] for earlier, later in pairwise(own)
        )
        assert own[-1]["__END_AT"] is None
        assert all((a["tier"], a["points"]) != (b["tier"], b["points"]) for a, b in pairwise(own))


def plain(rows: list[dict[str, Any]]) -> set[str]:
    """Rows as texts, whatever object stands for UTC; no two are equal, since each has its key and start."""
    texts = [
        repr([value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for value in row.values()])
        for row in rows
    ]
    assert len(set(texts)) == len(texts)
    return set(texts)


many = settings(
    max_examples=12,  # each one is a statement over up to 60 histories
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@many
@given(batch=st.lists(histories, min_size=30, max_size=60))
def test_type_2_keeps_the_states_the_model_keeps(session: Session, batch: list[list[Version]]) -> None:
    expected = [
        {**stored(number, version), "__START_AT": start, "__END_AT": end}
        for number, history in enumerate(batch)
        for version, start, end in model_history(history)
    ]
    kept = states(session, HISTORY, FLOW, batch)
    assert plain(kept) ^ plain(expected) == set()
    assert_whole(kept, batch)


@many
@given(batch=st.lists(histories, min_size=30, max_size=60))
def test_type_1_keeps_the_newest_version(session: Session, batch: list[list[Version]]) -> None:
    flow = replace(FLOW, stored_as_scd_type=1)
    expected = [stored(number, version) for number, history in enumerate(batch) for version in model_current(history)]
    assert plain(states(session, CURRENT, flow, batch)) ^ plain(expected) == set()


def test_one_history_by_hand(session: Session) -> None:
    first, second, third, fourth = INSTANTS
    history = [
        Version("c1", "gold", 1, "old", first, 1, "1"),
        Version("c1", "gold", 1, "new", second, 1, "1"),  # equal: the state goes on, with the later note
        Version("c1", None, 1, "lost", third, 1, "2"),
        Version("c1", "basic", 1, "won", third, 2, "1"),  # the same instant, delivered later
        Version("c1", "gold", 1, None, fourth, 1, "1"),  # as before, but after another state
    ]
    rows = sorted(states(session, HISTORY, FLOW, [history]), key=lambda row: row["__START_AT"])
    assert [(row["tier"], row["note"], row["at"], row["__START_AT"], row["__END_AT"]) for row in rows] == [
        ("gold", "new", second, first, third),
        ("basic", "won", third, third, fourth),
        ("gold", None, fourth, fourth, None),
    ]


def test_all_columns_untracked_is_one_state(session: Session) -> None:
    flow = replace(FLOW, track_history_except_column_list=("tier", "points", "note", "at"))
    history = [Version("c1", tier, None, None, at, 1, "1") for tier, at in zip(["a", "b", "c"], INSTANTS, strict=False)]
    (row,) = states(session, HISTORY, flow, [history])
    assert (row["tier"], row["__START_AT"], row["__END_AT"]) == ("c", INSTANTS[0], None)


def test_one_sequence_column_is_enough(session: Session) -> None:
    flow = replace(FLOW, sequence_by=("at",))
    history = [Version("c1", "a", 1, None, INSTANTS[0], 1, "1"), Version("c1", "b", 1, None, INSTANTS[1], 1, "1")]
    assert [row["tier"] for row in states(session, HISTORY, flow, [history]) if row["__END_AT"] is None] == ["b"]
