"""One lake, two engines: what one has written the other continues, fences and batches included; what it cannot read it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse.engine import CommitConflict, Engine, StaleFence, UnreadableTable
from lakehouse.properties import arrow_schema
from tests.fixtures.engines import (
    AS_OF,
    CUSTOMERS,
    EVERY_TYPE,
    EVERY_TYPE_ROWS,
    SPARK,
    Lease,
    build_engine,
    commit,
    customer_sql,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = CUSTOMERS.name


def orders(engine: Engine) -> dict[str, int]:
    """Orders by customer in the newest version."""
    version = engine.version(TABLE)
    assert version is not None
    with engine.session(AS_OF) as session:
        session.bind("everything", TABLE, version)
        rows = session.fetch("SELECT customer_id, orders FROM everything").to_pylist()
    return {row["customer_id"]: row["orders"] for row in rows}


def test_a_table_is_continued_by_the_other_engine_and_back(engines: tuple[Engine, Engine]) -> None:
    first, second = engines
    with first.session(AS_OF) as session:
        session.append(CUSTOMERS, f"{customer_sql('c1', 1)} UNION ALL {customer_sql('c2', 2)}", commit(1))
        base = session.merge(
            CUSTOMERS, f"SELECT *, 'upsert' AS _change FROM ({customer_sql('c2', 20)})", commit(2)
        ).version
    assert (second.version(TABLE), second.batch(TABLE, "flow")) == (base, 2)
    assert second.create(CUSTOMERS, Lease()) == base, "the declared table is the same on both engines"
    changes = (
        f"SELECT *, 'upsert' AS _change FROM ({customer_sql('c2', 22)}) UNION ALL "
        f"SELECT *, 'delete' AS _change FROM ({customer_sql('c1', 0)}) UNION ALL "
        f"SELECT *, 'upsert' AS _change FROM ({customer_sql('c3', 3)})"
    )
    with second.session(AS_OF) as session:
        assert not session.merge(CUSTOMERS, changes, commit(2)).written
        upto = session.merge(CUSTOMERS, changes, commit(3)).version
    second.maintain(CUSTOMERS, Lease())
    for engine in engines:
        assert orders(engine) == {"c2": 22, "c3": 3}
        with engine.session(AS_OF) as session:
            session.bind_changes("changed", TABLE, base, upto, ["customer_id", "orders"])
            rows = session.fetch("SELECT * FROM changed").to_pylist()
        assert {(row["customer_id"], row["orders"]) for row in rows} == {("c1", 1), ("c2", 20), ("c2", 22), ("c3", 3)}
    with first.session(AS_OF) as session:
        assert not session.append(CUSTOMERS, customer_sql("c4", 4), commit(3)).written
        session.merge(CUSTOMERS, f"SELECT *, 'delete' AS _change FROM ({customer_sql('c3', 0)})", commit(4))
        session.append(CUSTOMERS, customer_sql("c4", 4), commit(5))
    first.maintain(CUSTOMERS, Lease())
    assert orders(second) == {"c2": 22, "c4": 4}


def test_every_type_is_read_by_the_other_engine(engines: tuple[Engine, Engine]) -> None:
    first, second = engines
    rows = pa.Table.from_pylist(EVERY_TYPE_ROWS, schema=arrow_schema(EVERY_TYPE))
    with first.session(AS_OF) as session:
        version = session.append_rows(EVERY_TYPE, rows.to_reader(), commit(1)).version
    with second.session(AS_OF) as session:
        session.bind("stored", EVERY_TYPE.name, version)
        result = session.fetch("SELECT * FROM stored").to_pylist()
    assert sorted(result, key=repr) == sorted(EVERY_TYPE_ROWS, key=repr)


def test_a_claim_on_one_engine_fences_writers_on_the_other(engines: tuple[Engine, Engine]) -> None:
    first, second = engines
    with first.session(AS_OF) as session:
        session.append(CUSTOMERS, customer_sql("c1", 1), commit(1))
    with second.session(AS_OF) as session:
        rehearsal = Lease()
        assert not session.append(CUSTOMERS, customer_sql("c1", 1), commit(1, fence=rehearsal)).written
        last = rehearsal.checks
        zombie = Lease(before_check=lambda check: first.claim(TABLE, Lease(2)) if check == last else None)
        with pytest.raises(CommitConflict):
            session.append(CUSTOMERS, customer_sql("zombie", 1), commit(2, fence=zombie))
        with pytest.raises(StaleFence):
            session.append(CUSTOMERS, customer_sql("zombie", 1), commit(2))
    assert orders(second) == {"c1": 1}


def _with_deletion_vectors(spark: SparkSession, path: str) -> None:
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE customer_id = 'c1'")


def _with_column_mapping(spark: SparkSession, path: str) -> None:
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    spark.sql(f"ALTER TABLE delta.`{path}` RENAME COLUMN orders TO purchases")


@SPARK
@pytest.mark.parametrize(
    ("change", "feature"),
    [(_with_deletion_vectors, "deletionVectors"), (_with_column_mapping, "columnMapping")],
    ids=["deletion vectors", "column mapping"],
)
def test_the_embedded_engine_names_the_feature_it_cannot_read(
    request: pytest.FixtureRequest,
    lake: Path,
    tmp_path: Path,
    spark: SparkSession,
    change: Callable[[SparkSession, str], None],
    feature: str,
) -> None:
    embedded = build_engine("embedded", lake, tmp_path / "scratch", request)
    with embedded.session(AS_OF) as session:
        session.append(CUSTOMERS, f"{customer_sql('c1', 1)} UNION ALL {customer_sql('c2', 2)}", commit(1))
        change(spark, str(lake.joinpath(*TABLE.split("."))))
        version = embedded.version(TABLE)
        assert version is not None
        with pytest.raises(UnreadableTable, match=feature):
            session.bind("changed", TABLE, version)
