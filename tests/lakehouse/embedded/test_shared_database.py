"""Sessions share a DuckDB database; nothing of one reaches another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from lakehouse.embedded.engine import EmbeddedEngine

AS_OF = date(2026, 3, 1)


def test_sessions_of_several_threads_keep_their_own_views_and_dates(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "lake", scratch=tmp_path / "scratch")

    def ask(day: int) -> tuple[object, ...]:
        with engine.session(AS_OF.replace(day=day)) as session:
            session.define(
                "mine", f"SELECT {day} AS a, :as_of AS b, CAST(TIMESTAMP '2026-03-01 12:00:00' AS STRING) AS c"
            )
            session.materialize("kept", "SELECT a, b, c FROM mine")
            return tuple(session.fetch("SELECT a, b, c FROM kept").to_pylist()[0].values())

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(1, 29)))
    assert found == [(day, AS_OF.replace(day=day), "2026-03-01 12:00:00") for day in range(1, 29)]


def test_a_database_that_is_out_of_use_is_replaced(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "lake", scratch=tmp_path / "scratch")
    for _ in range(2):
        with engine.session(AS_OF) as session:
            assert session.fetch("SELECT pmod(-1, 3) AS a").to_pylist() == [{"a": 2}]
        assert engine._database is not None
        engine._database.close()
