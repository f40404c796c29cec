"""What every engine promises of a commit: each batch once, whole rows by key, declared types without loss, no value in the log."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.dataset import ByKey, Column, Dataset, NoSubject
from lakehouse.engine import DuplicateKey, Engine, LossyCast, NullKey, RetentionTooShort, SchemaDrift
from tests.fixtures.engines import AS_OF, CUSTOMERS, EMAIL, EVERY_TYPE, STREET, Lease, commit, customer_sql

TABLE = CUSTOMERS.name


def stored(engine: Engine, table: str = TABLE) -> list[dict[str, Any]]:
    """All rows of the newest version, by their first column."""
    version = engine.version(table)
    assert version is not None
    with engine.session(AS_OF) as session:
        session.bind("everything", table, version)
        rows: list[dict[str, Any]] = session.fetch("SELECT * FROM everything").to_pylist()
    return sorted(rows, key=lambda row: repr(next(iter(row.values()))))


def orders(engine: Engine) -> dict[str, int]:
    """Orders by customer in the newest version."""
    return {row["customer_id"]: row["orders"] for row in stored(engine)}


def changes(*rows: tuple[str, int | None, str]) -> str:
    """A merge source of (customer, orders, change)."""
    return " UNION ALL ".join(
        f"SELECT *, '{change}' AS _change FROM ({customer_sql(key, value or 0)})" for key, value, change in rows
    )


def log_lines(lake: Path, table: str = TABLE) -> list[dict[str, Any]]:
    """Every action of a table's log."""
    folder = lake.joinpath(*table.split("."), "_delta_log")
    return [json.loads(line) for file in sorted(folder.glob("*.json")) for line in file.read_text().splitlines()]


def one_column(kind: str) -> Dataset:
    """A dataset with one column of a type."""
    return Dataset("silver.one", "One column", (Column("value", kind, "the value"),), ByKey(()), NoSubject("made up"))


def test_create_makes_the_declared_table_and_is_repeatable(engine: Engine, lake: Path) -> None:
    assert engine.create(CUSTOMERS, Lease()) == 0
    assert engine.create(CUSTOMERS, Lease()) == 0
    assert engine.version(TABLE) == 0
    metadata = next(line["metaData"] for line in log_lines(lake) if "metaData" in line)
    fields = json.loads(metadata["schemaString"])["fields"]
    assert [(field["name"], field["metadata"]["comment"]) for field in fields] == [
        (c.name, c.comment) for c in CUSTOMERS.columns
    ]
    assert metadata["name"] == TABLE
    assert metadata["description"] == CUSTOMERS.comment
    assert metadata["configuration"]["delta.enableChangeDataFeed"] == "true"
    assert metadata["configuration"]["delta.dataSkippingStatsColumns"] == "customer_id,orders"


def test_a_batch_is_committed_once(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        first = session.append(CUSTOMERS, customer_sql("c1", 1), commit(1))
        again = session.append(CUSTOMERS, customer_sql("c2", 2), commit(1))
        other_flow = session.append(CUSTOMERS, customer_sql("c3", 3), commit(1, flow="other"))
        earlier = session.merge(CUSTOMERS, changes(("c1", 9, "upsert")), commit(1))
    assert first.written
    assert (again.written, again.version) == (False, first.version)
    assert (other_flow.written, other_flow.version) == (True, first.version + 1)
    assert not earlier.written
    assert orders(engine) == {"c1": 1, "c3": 3}
    assert (engine.batch(TABLE, "flow"), engine.batch(TABLE, "other"), engine.batch(TABLE, "third")) == (1, 1, 0)


def test_merge_updates_inserts_and_deletes_by_key(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        session.merge(CUSTOMERS, changes(("c1", 1, "upsert"), ("c2", 2, "upsert"), ("c3", 3, "upsert")), commit(1))
        session.merge(CUSTOMERS, changes(("c1", 10, "upsert"), ("c2", 0, "delete"), ("c4", 4, "upsert")), commit(2))
    assert orders(engine) == {"c1": 10, "c3": 3, "c4": 4}
    assert stored(engine)[1]["address"] == {"street": STREET, "city": "Wien"}


def test_deleting_a_key_that_is_not_there_changes_no_row_and_still_counts_as_the_batch(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        before = session.append(CUSTOMERS, customer_sql("c1", 1), commit(1)).version
        after = session.merge(CUSTOMERS, changes(("c9", 0, "delete")), commit(2)).version
        session.bind_changes("changed", TABLE, before, after, ["customer_id"])
        assert session.fetch("SELECT * FROM changed").num_rows == 0
    assert orders(engine) == {"c1": 1}
    assert engine.batch(TABLE, "flow") == 2


def test_a_row_that_deletes_needs_only_its_key(engine: Engine) -> None:
    target = replace(
        CUSTOMERS,
        columns=(*CUSTOMERS.columns[:1], replace(CUSTOMERS.columns[1], nullable=False), *CUSTOMERS.columns[2:]),
    )
    gone = "SELECT 'c1' AS customer_id, NULL AS orders, NULL AS email, NULL AS address, 'delete' AS _change"
    with engine.session(AS_OF) as session:
        session.append(target, f"{customer_sql('c1', 1)} UNION ALL {customer_sql('c2', 2)}", commit(1))
        session.merge(target, gone, commit(2))
        with pytest.raises(NullKey, match="orders"):
            session.merge(target, gone.replace("'delete'", "'upsert'"), commit(3))
    assert orders(engine) == {"c2": 2}


def test_a_key_that_stands_twice_in_a_source_is_refused(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        with pytest.raises(DuplicateKey) as failure:
            session.merge(CUSTOMERS, changes(("c-secret", 1, "upsert"), ("c-secret", 2, "upsert")), commit(1))
        assert "c-secret" not in str(failure.value)
        with pytest.raises(DuplicateKey):
            session.merge(CUSTOMERS, changes(("c1", 1, "upsert"), ("c1", 0, "delete")), commit(1))
    assert engine.batch(TABLE, "flow") == 0


def test_several_queries_are_one_commit(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        pieces = [customer_sql("c2", 2), f"SELECT * FROM ({customer_sql('c9', 9)}) WHERE false", customer_sql("c1", 1)]
        before = session.append(CUSTOMERS, [customer_sql("c0", 0)], commit(1)).version
        after = session.append(CUSTOMERS, pieces, commit(2)).version
        assert not session.append(CUSTOMERS, pieces, commit(2)).written
    assert after == before + 1
    assert orders(engine) == {"c0": 0, "c1": 1, "c2": 2}


def test_a_key_that_stands_in_two_of_several_queries_is_refused(engine: Engine) -> None:
    with engine.session(AS_OF) as session, pytest.raises(DuplicateKey, match="yields 1 keys"):
        session.append(CUSTOMERS, [customer_sql("c1", 1), customer_sql("c2", 2), customer_sql("c1", 3)], commit(1))
    assert engine.batch(TABLE, "flow") == 0


def test_a_key_that_is_null_is_refused(engine: Engine) -> None:
    nobody = customer_sql("x", 1).replace("'x'", "CAST(NULL AS STRING)")
    with engine.session(AS_OF) as session:
        with pytest.raises(NullKey, match=r"silver\.customers\.customer_id"):
            session.append(CUSTOMERS, nobody, commit(1))
        with pytest.raises(NullKey):
            session.merge(CUSTOMERS, f"SELECT *, 'upsert' AS _change FROM ({nobody})", commit(1))
    assert engine.batch(TABLE, "flow") == 0


def test_replace_puts_rows_in_place_of_all(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        session.append(CUSTOMERS, f"{customer_sql('c1', 1)} UNION ALL {customer_sql('c2', 2)}", commit(1))
        after = session.replace(CUSTOMERS, customer_sql("c3", 3), commit(2)).version
        assert orders(engine) == {"c3": 3}
        session.bind_changes("changed", TABLE, after - 1, after, ["customer_id"])
        assert {row["customer_id"] for row in session.fetch("SELECT * FROM changed").to_pylist()} == {"c1", "c2", "c3"}
        session.replace(CUSTOMERS, f"SELECT * FROM ({customer_sql('c4', 4)}) WHERE false", commit(3))
    assert orders(engine) == {}


def test_a_declaration_that_gained_a_column_reads_as_null_in_older_rows(engine: Engine) -> None:
    wider = replace(CUSTOMERS, columns=(*CUSTOMERS.columns, Column("tier", "STRING", "Loyalty tier")))
    with engine.session(AS_OF) as session:
        session.append(CUSTOMERS, customer_sql("c1", 1), commit(1))
        start = engine.create(wider, Lease())
        upto = session.append(wider, f"SELECT *, 'gold' AS tier FROM ({customer_sql('c2', 2)})", commit(2)).version
        session.bind_changes("changed", TABLE, start, upto, ["customer_id", "tier"])
        assert session.fetch("SELECT * FROM changed").to_pylist() == [{"customer_id": "c2", "tier": "gold"}]
        session.merge(
            wider, f"SELECT *, 'silver' AS tier, 'upsert' AS _change FROM ({customer_sql('c2', 3)})", commit(3)
        )
    assert [(row["customer_id"], row["orders"], row["tier"]) for row in stored(engine)] == [
        ("c1", 1, None),
        ("c2", 3, "silver"),
    ]


def test_a_declaration_that_contradicts_the_table_is_refused(engine: Engine) -> None:
    engine.create(CUSTOMERS, Lease())
    narrower = replace(CUSTOMERS, columns=CUSTOMERS.columns[:3])
    retyped = replace(
        CUSTOMERS, columns=(CUSTOMERS.columns[0], Column("orders", "BIGINT", "more"), *CUSTOMERS.columns[2:])
    )
    for drifted in (narrower, retyped):
        with pytest.raises(SchemaDrift):
            engine.create(drifted, Lease())
    assert engine.version(TABLE) == 0


FITS: list[tuple[Any, str, list[Any]]] = [
    (pa.array([2**31 - 1, None], pa.int64()), "INT", [2**31 - 1, None]),
    (pa.array([5], pa.int32()), "BIGINT", [5]),
    (pa.array([7], pa.int64()), "DECIMAL(38,6)", [Decimal("7.000000")]),
    (pa.array([Decimal("1.50")], pa.decimal128(38, 6)), "DECIMAL(18,2)", [Decimal("1.50")]),
    (pa.array([0.1, None], pa.float64()), "DECIMAL(18,6)", [Decimal("0.100000"), None]),
    (pa.array([3.0]), "INT", [3]),
    (pa.array(["42"]), "INT", [42]),
    (pa.array([datetime(2024, 1, 2, tzinfo=UTC)], pa.timestamp("us", tz="UTC")), "DATE", [date(2024, 1, 2)]),
    (pa.array([["a"]], pa.list_(pa.string())), "ARRAY<STRING>", [["a"]]),
    (
        pa.array([{"b": 1, "a": 2}], pa.struct([("b", pa.int64()), ("a", pa.int64())])),
        "STRUCT<a: INT, b: INT>",
        [{"a": 2, "b": 1}],
    ),
    (pa.array([[1, None], None, []], pa.list_(pa.int64())), "ARRAY<INT>", [[1, None], None, []]),
]
LOSES: list[tuple[Any, str]] = [
    (pa.array([2**31], pa.int64()), "INT"),
    (pa.array([Decimal("1.005")], pa.decimal128(38, 6)), "DECIMAL(18,2)"),
    (pa.array([Decimal(10) ** 20], pa.decimal128(38, 6)), "DECIMAL(18,2)"),
    (pa.array([1.5]), "INT"),
    (pa.array([-2.5]), "BIGINT"),
    (pa.array([float("nan")]), "DECIMAL(18,2)"),
    (pa.array([float("inf")]), "INT"),
    (pa.array(["twelve"]), "INT"),
    (pa.array(["007"]), "INT"),
    (pa.array(["1.9"]), "INT"),
    (pa.array(["2024-02-30"]), "DATE"),
    (pa.array([2**53 + 1], pa.int64()), "DOUBLE"),
    (pa.array([datetime(2024, 1, 2, 3, tzinfo=UTC)], pa.timestamp("us", tz="UTC")), "DATE"),
    (pa.array([{"a": 2**40}], pa.struct([("a", pa.int64())])), "STRUCT<a: INT>"),
    (pa.array([[2**40]], pa.list_(pa.int64())), "ARRAY<INT>"),
]


def test_values_that_fit_the_declared_types_are_cast(engine: Engine) -> None:
    longest = max(len(values) for values, _, _ in FITS)
    columns = {
        f"c{number}": pa.concat_arrays([v, pa.nulls(longest - len(v), v.type)]) for number, (v, _, _) in enumerate(FITS)
    }
    declared = tuple(Column(name, kind, "a value") for name, (_, kind, _) in zip(columns, FITS, strict=True))
    target = Dataset("silver.fits", "Values that fit", declared, ByKey(()), NoSubject("made up"))
    with engine.session(AS_OF) as session:
        session.load("source", pa.table(columns))
        session.append(target, "SELECT * FROM source", commit(1))
    rows = stored(engine, target.name)
    for name, (values, kind, expected) in zip(columns, FITS, strict=True):
        wanted = expected + [None] * (longest - len(expected))
        assert sorted((row[name] for row in rows), key=repr) == sorted(wanted, key=repr), f"{values.type} to {kind}"


def test_a_value_that_does_not_fit_without_loss_is_refused(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        for values, kind in LOSES:
            session.load("source", pa.table({"value": values}))
            with pytest.raises(LossyCast, match=r"silver\.one\.value") as refusal:
                session.append(one_column(kind), "SELECT value FROM source", commit(1))
            assert str(values[0].as_py()) not in str(refusal.value), f"{values.type} to {kind}"
    assert engine.version("silver.one") is None


def test_no_personal_value_reaches_the_log_or_a_files_footer(engine: Engine, lake: Path) -> None:
    with engine.session(AS_OF) as session:
        session.append(CUSTOMERS, customer_sql("cust-1", 1), commit(1, run="run_1"))
        session.merge(CUSTOMERS, changes(("cust-1", 2, "upsert"), ("cust-2", 2, "upsert")), commit(2))
        session.merge(CUSTOMERS, changes(("cust-1", 0, "delete")), commit(3))
    lines = log_lines(lake)
    assert not [line for line in lines if EMAIL in json.dumps(line) or STREET in json.dumps(line)]
    information = [json.dumps(line["commitInfo"]) for line in lines if "commitInfo" in line]
    assert len(information) == 4
    assert not [text for text in information if "cust-" in text], "a customer id stands in a commit's info"
    assert "run_1" in information[1]
    assert [line for line in lines if "cust-1" in json.dumps(line.get("add", {}))], "keys do have statistics"
    files = list(lake.joinpath(*TABLE.split(".")).glob("*.parquet"))
    footers = [pq.read_metadata(file).row_group(0).column(position) for file in files for position in range(5)]
    assert {column.path_in_schema for column in footers if column.statistics and column.statistics.has_min_max} == {
        "customer_id",
        "orders",
    }


def test_maintenance_changes_no_row_and_removes_nothing(engine: Engine, lake: Path) -> None:
    with engine.session(AS_OF) as session:
        for batch in range(1, 4):
            session.append(CUSTOMERS, customer_sql(f"c{batch}", batch), commit(batch))
    files = set(lake.rglob("*.parquet"))
    engine.maintain(CUSTOMERS, Lease())
    version = engine.version(TABLE)
    engine.maintain(CUSTOMERS, Lease())
    assert engine.version(TABLE) == version, "nothing small, no commit"
    assert orders(engine) == {"c1": 1, "c2": 2, "c3": 3}
    assert files < set(lake.rglob("*.parquet"))
    assert list(lake.rglob("*.checkpoint*.parquet"))
    with engine.session(AS_OF) as session:
        session.bind("early", TABLE, 1)
        assert session.fetch("SELECT customer_id FROM early").to_pylist() == [{"customer_id": "c1"}]


def test_maintenance_writes_no_personal_value_into_a_footer(engine: Engine, lake: Path) -> None:
    with engine.session(AS_OF) as session:
        for batch in range(1, 4):
            session.append(CUSTOMERS, customer_sql(f"c{batch}", batch), commit(batch))
    for target in (CUSTOMERS, replace(CUSTOMERS, cluster_by=("customer_id",))):
        before = set(lake.rglob("*.parquet"))
        engine.maintain(target, Lease())
        files = [file for file in set(lake.rglob("*.parquet")) - before if "_delta_log" not in file.parts]
        assert len(files) == 1
        row_group = pq.read_metadata(files[0]).row_group(0)
        columns = [row_group.column(position) for position in range(row_group.num_columns)]
        assert {column.path_in_schema for column in columns if column.statistics and column.statistics.has_min_max} == {
            "customer_id",
            "orders",
        }
        with engine.session(AS_OF) as session:
            for batch in range(1, 3):
                session.append(CUSTOMERS, customer_sql(f"d{batch}", batch), commit(3 + batch))


def test_a_vacuum_removes_what_a_week_of_versions_does_not_need(engine: Engine, lake: Path) -> None:
    with engine.session(AS_OF) as session:
        session.append(CUSTOMERS, customer_sql("c1", 1), commit(1))
        session.merge(CUSTOMERS, changes(("c1", 2, "upsert")), commit(2))
        session.replace(CUSTOMERS, customer_sql("c2", 5), commit(3))
    old = [file for file in lake.rglob("*.parquet") if "_delta_log" not in file.parts]
    with pytest.raises(RetentionTooShort, match="168"):
        engine.vacuum(TABLE, Lease(), 1)
    assert engine.vacuum(TABLE, Lease(), 168) == 0, "all of it is younger"
    assert all(file.exists() for file in old)
    assert orders(engine) == {"c2": 5}


def test_an_append_of_a_stream_is_committed_once_too(engine: Engine) -> None:
    rows = pa.Table.from_pylist([{"s": "a"}, {"s": "b"}], schema=pa.schema([("s", pa.string())]))
    target = replace(EVERY_TYPE, name="bronze.lines", columns=EVERY_TYPE.columns[:1])
    with engine.session(AS_OF) as session:
        assert session.append_rows(target, rows.to_reader(), commit(1)).written
        assert not session.append_rows(target, rows.to_reader(), commit(1)).written
        assert session.append_rows(target, rows.slice(0, 0).to_reader(), commit(2)).written
    assert [row["s"] for row in stored(engine, target.name)] == ["a", "b"]
    assert engine.batch(target.name, "flow") == 2
