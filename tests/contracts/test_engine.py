"""What every engine promises of a session: snapshots, views, queries and their errors. Commits: test_engine_commits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from kit.errors import C360Error
from lakehouse.engine import CHANGE_TYPE, Engine, QueryFailed, Restriction, Session
from lakehouse.properties import arrow_schema
from tests.fixtures.engines import AS_OF, CUSTOMERS, EVERY_TYPE, EVERY_TYPE_ROWS, commit, customer_sql


def numbers(*pairs: tuple[object, object]) -> pa.Table:
    """Rows with a text column ``k`` and a whole number ``v``."""
    return pa.table(
        {"k": pa.array([k for k, _ in pairs], pa.string()), "v": pa.array([v for _, v in pairs], pa.int32())}
    )


def pairs_of(session: Session, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, in an order of their own."""
    return sorted((tuple(row.values()) for row in session.fetch(sql).to_pylist()), key=repr)


def test_a_table_that_does_not_exist_has_no_version_and_asking_creates_nothing(engine: Engine, lake: Any) -> None:
    assert engine.version("silver.customers") is None
    assert engine.batch("silver.customers", "flow") == 0
    assert not lake.exists() or not any(lake.iterdir())


def test_rows_of_every_type_come_back_as_they_went_in(engine: Engine) -> None:
    rows = pa.Table.from_pylist(EVERY_TYPE_ROWS, schema=arrow_schema(EVERY_TYPE))
    with engine.session(AS_OF) as session:
        written = session.append_rows(EVERY_TYPE, rows.to_reader(), commit(1))
        session.bind("stored", EVERY_TYPE.name, written.version)
        result = session.fetch("SELECT * FROM stored")
        assert dict(session.columns("stored")) == {column.name: column.data_type.sql for column in EVERY_TYPE.columns}
    assert result.column_names == list(EVERY_TYPE.column_names)
    assert sorted(result.to_pylist(), key=repr) == sorted(EVERY_TYPE_ROWS, key=repr)


def test_a_session_reads_the_version_it_is_bound_to(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        first = session.append(CUSTOMERS, customer_sql("c1", 1), commit(1)).version
        second = session.append(CUSTOMERS, customer_sql("c2", 2), commit(2)).version
        session.bind("before", CUSTOMERS.name, first)
        session.bind("after", CUSTOMERS.name, second)
        assert pairs_of(session, "SELECT customer_id FROM before") == [("c1",)]
        assert pairs_of(session, "SELECT customer_id FROM after") == [("c1",), ("c2",)]


def test_a_table_without_rows_can_be_bound_and_queried(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        session.bind_empty("none_yet", CUSTOMERS)
        assert session.fetch("SELECT * FROM none_yet").num_rows == 0
        assert dict(session.columns("none_yet")) == {column.name: column.data_type.sql for column in CUSTOMERS.columns}
        version = engine.create(CUSTOMERS, commit(1).fence)
        session.bind("created", CUSTOMERS.name, version)
        assert session.fetch("SELECT customer_id, address.city FROM created").num_rows == 0


def test_changes_hold_both_images_of_an_update_and_each_value_once(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        base = session.append(
            CUSTOMERS, f"{customer_sql('c1', 1)} UNION ALL {customer_sql('c2', 2)}", commit(1)
        ).version
        session.merge(CUSTOMERS, f"SELECT *, 'upsert' AS _change FROM ({customer_sql('c1', 10)})", commit(2))
        upto = session.merge(
            CUSTOMERS,
            f"SELECT *, 'delete' AS _change FROM ({customer_sql('c2', 2)}) "
            f"UNION ALL SELECT *, 'insert' AS _change FROM ({customer_sql('c3', 3)})",
            commit(3),
        ).version
        session.bind_changes("changed", CUSTOMERS.name, base, upto, ["customer_id", "orders"])
        assert pairs_of(session, "SELECT * FROM changed") == [("c1", 1), ("c1", 10), ("c2", 2), ("c3", 3)]
        session.bind_changes("keys", CUSTOMERS.name, base, upto, ["customer_id"])
        assert pairs_of(session, "SELECT * FROM keys") == [("c1",), ("c2",), ("c3",)]
        session.bind_changes("kinds", CUSTOMERS.name, base, upto, ["orders", CHANGE_TYPE])
        assert pairs_of(session, "SELECT * FROM kinds") == [
            (1, "update_preimage"),
            (10, "update_postimage"),
            (2, "delete"),
            (3, "insert"),
        ]
        session.bind_changes("nothing", CUSTOMERS.name, upto, upto, ["customer_id", CHANGE_TYPE])
        assert pairs_of(session, "SELECT * FROM nothing") == []


def test_touched_keys_restrict_an_input_and_null_is_a_key_like_others(engine: Engine) -> None:
    target = EVERY_TYPE
    rows = [{**EVERY_TYPE_ROWS[2], "s": key, "i": number} for number, key in enumerate(["a", "a", "b", None])]
    with engine.session(AS_OF) as session:
        reader = pa.Table.from_pylist(rows, schema=arrow_schema(target)).to_reader()
        version = session.append_rows(target, reader, commit(1)).version
        session.load("touched", pa.table({"k0": pa.array(["A", None], pa.string())}))
        session.bind("some", target.name, version, Restriction(("upper(s)",), touched="touched"))
        assert pairs_of(session, "SELECT i FROM some") == [(0,), (1,), (3,)]
        session.load("both", pa.table({"k0": pa.array(["a", "b"]), "k1": pa.array([0, None], pa.int32())}))
        session.bind("two", target.name, version, Restriction(("s", "i"), touched="both"))
        assert pairs_of(session, "SELECT i FROM two") == [(0,)]


def test_buckets_share_the_rows_out_without_loss_or_overlap(engine: Engine) -> None:
    rows = [
        {**EVERY_TYPE_ROWS[2], "s": None if number % 10 == 0 else f"key {number}", "i": number} for number in range(60)
    ]
    with engine.session(AS_OF) as session:
        reader = pa.Table.from_pylist(rows, schema=arrow_schema(EVERY_TYPE)).to_reader()
        version = session.append_rows(EVERY_TYPE, reader, commit(1)).version
        seen = []
        for bucket in range(3):
            session.bind("part", EVERY_TYPE.name, version, Restriction(("s",), bucket=bucket, buckets=3))
            seen.append({row[0] for row in pairs_of(session, "SELECT i FROM part")})
    assert set.union(*seen) == set(range(60))
    assert sum(map(len, seen)) == 60
    assert all(seen)
    assert any({0, 10, 20, 30, 40, 50} <= part for part in seen), "rows of one key fall into one bucket"


def test_a_bucket_can_be_read_again_beside_others_with_some_of_the_columns_and_may_be_empty(engine: Engine) -> None:
    rows = [{**EVERY_TYPE_ROWS[2], "s": "the same", "i": number} for number in range(5)]
    with engine.session(AS_OF) as session:
        reader = pa.Table.from_pylist(rows, schema=arrow_schema(EVERY_TYPE)).to_reader()
        version = session.append_rows(EVERY_TYPE, reader, commit(1)).version
        for bucket in range(4):
            part = Restriction(("s",), bucket=bucket, buckets=4)
            session.bind(f"part{bucket}", EVERY_TYPE.name, version, replace(part, columns=("i", "s")))
            session.bind(f"whole{bucket}", EVERY_TYPE.name, version, part)
        for _ in range(2):
            found = [pairs_of(session, f"SELECT * FROM part{bucket}") for bucket in range(4)]
            assert sorted(map(len, found)) == [0, 0, 0, 5]
        assert max(found) == [(number, "the same") for number in range(5)]
        everything = [row for bucket in range(4) for row in session.fetch(f"SELECT * FROM whole{bucket}").to_pylist()]
        assert sorted(everything, key=repr) == sorted(rows, key=repr)


def test_a_bucket_of_touched_keys_has_only_them(engine: Engine) -> None:
    rows = [{**EVERY_TYPE_ROWS[2], "s": f"key {number % 4}", "i": number} for number in range(12)]
    with engine.session(AS_OF) as session:
        reader = pa.Table.from_pylist(rows, schema=arrow_schema(EVERY_TYPE)).to_reader()
        version = session.append_rows(EVERY_TYPE, reader, commit(1)).version
        session.load("touched", pa.table({"k0": pa.array(["key 1", "key 9"])}))
        found = []
        for bucket in range(3):
            session.bind("part", EVERY_TYPE.name, version, Restriction(("s",), "touched", bucket, 3))
            found += pairs_of(session, "SELECT i FROM part")
    assert sorted(found) == [(1,), (5,), (9,)]


def test_a_defined_view_follows_and_a_materialized_one_keeps(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        session.load("source", numbers(("a", 1), ("b", 2)))
        session.define("doubled", "SELECT k, CAST(v * 2 AS BIGINT) AS w FROM source")
        assert session.materialize("kept", "SELECT k, w FROM doubled WHERE w > 2") == 1
        assert session.extend("kept", "SELECT v AS w, k FROM source") == 2
        assert pairs_of(session, "SELECT k, w FROM kept") == [("a", 1), ("b", 2), ("b", 4)]
        assert session.extend("kept", "SELECT k, w FROM kept WHERE false") == 0


def test_arrow_rows_are_loaded_from_a_table_and_from_a_stream(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        session.load("whole", numbers(("a", 1), (None, None)))
        session.load("streamed", numbers(("b", 2)).to_reader())
        assert pairs_of(session, "SELECT * FROM whole UNION ALL SELECT * FROM streamed") == [
            ("a", 1),
            ("b", 2),
            (None, None),
        ]
        assert dict(session.columns("streamed")) == {"k": "STRING", "v": "INT"}
        assert session.fetch("SELECT * FROM whole", limit=1).num_rows == 1


def test_as_of_is_the_date_of_the_session(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        session.define("dated", "SELECT :as_of AS day, ':as_of' AS text")
        assert session.fetch("SELECT * FROM dated").to_pylist() == [{"day": AS_OF, "text": ":as_of"}]


def test_sessions_do_not_see_each_other(engine: Engine) -> None:
    with engine.session(AS_OF) as one, engine.session(date(2020, 2, 29)) as other:
        one.load("mine", numbers(("a", 1)))
        other.load("mine", numbers(("b", 2)))
        assert pairs_of(one, "SELECT k FROM mine") == [("a",)]
        assert pairs_of(other, "SELECT k, :as_of AS day FROM mine") == [("b", date(2020, 2, 29))]
    with engine.session(AS_OF) as later, pytest.raises(C360Error):
        later.fetch("SELECT * FROM mine")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(k AS INT) AS n FROM source",
        "SELECT CAST(v AS INT) + 2147483647 AS n FROM source",
    ],
    ids=["bad cast", "overflow"],
)
def test_a_row_that_fails_under_ansi_rules_is_an_error_that_shows_no_value(
    engine: Engine, sql: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with engine.session(AS_OF) as session:
        session.load("source", numbers(("ada@example.org", 77)))
        with pytest.raises(C360Error) as failure:
            session.fetch(sql)
    assert "ada@example.org" not in str(failure.value)
    assert "ada@example.org" not in "".join(capfd.readouterr()), "the engine logged the value"
    assert failure.value.__suppress_context__ or failure.value.__context__ is None, "a traceback would show the value"


@pytest.mark.parametrize("sql", ["SELECT", "SELECT nothing FROM nowhere", "SELECT no_such_column FROM source"])
def test_a_query_that_is_not_valid_is_the_callers_error(engine: Engine, sql: str) -> None:
    with engine.session(AS_OF) as session:
        session.load("source", numbers(("a", 1)))
        with pytest.raises(C360Error) as failure:
            session.fetch(sql)
    assert failure.value.kind == "invalid"


def test_a_result_must_have_the_declared_columns(engine: Engine) -> None:
    with engine.session(AS_OF) as session:
        with pytest.raises(QueryFailed, match="missing: address"):
            session.append(CUSTOMERS, "SELECT 'c' AS customer_id, 1 AS orders, 'e' AS email", commit(1))
        with pytest.raises(QueryFailed, match="not declared: extra"):
            session.append(CUSTOMERS, f"SELECT *, 1 AS extra FROM ({customer_sql('c', 1)})", commit(1))
    assert engine.batch(CUSTOMERS.name, "flow") == 0
