from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.dataset import Column, Dataset, InvalidDeclaration, NoSubject, Recorded, Serving, Subject
from lakehouse.engine import NullKey
from lakehouse.online.encode import ProfileEncoder
from tests.fixtures.serving import rows_of

KEY = Column("id", "STRING", "Id.", "subject_key", nullable=False)


def served(*columns: Column, key: Column = KEY) -> Dataset:
    return Dataset(
        "gold.t",
        "T.",
        (key, *columns),
        Recorded(),
        Subject("id"),
        keys=(key.name,),
        serving=Serving(key.name, "things"),
    )


def encoded(dataset: Dataset, rows: pa.Table) -> list[tuple[str, dict[str, Any]]]:
    return [
        (key, {cls: orjson.loads(b"{%b}" % part) for cls, part in parts.items()})
        for key, parts in ProfileEncoder(dataset).encode(rows)
    ]


def one(kind: str, value: Any) -> Any:
    """How a value of a type looks to a reader of the JSON."""
    dataset = served(Column("v", kind, "V."))
    rows = pa.table({"id": ["1"], "v": pa.array([value], dataset.column("v").data_type.arrow)})
    ((_, parts),) = encoded(dataset, rows)
    return parts["public"]["v"]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("STRING", 'a "quoted" \\ ü \n', 'a "quoted" \\ ü \n'),
        ("STRING", "", ""),
        ("BOOLEAN", False, False),
        ("BIGINT", 2**63 - 1, 2**63 - 1),
        ("DOUBLE", 0.1, 0.1),
        ("DOUBLE", float("nan"), None),
        ("DOUBLE", float("-inf"), None),
        ("DECIMAL(38,2)", Decimal(0), "0.00"),
        ("DECIMAL(38,2)", Decimal("-0.05"), "-0.05"),
        (
            "DECIMAL(38,2)",
            Decimal("123456789012345678901234567890123456.78"),
            "123456789012345678901234567890123456.78",
        ),
        ("DECIMAL(18,0)", Decimal(7), "7"),
        ("DECIMAL(18,6)", Decimal("0.000001"), "0.000001"),
        ("DECIMAL(18,9)", Decimal("0.000000001"), "0.000000001"),
        ("DECIMAL(18,9)", Decimal(0), "0.000000000"),
        ("DATE", date(1, 1, 1), "0001-01-01"),
        ("TIMESTAMP", datetime(2011, 12, 9, 12, 50, tzinfo=UTC), "2011-12-09T12:50:00Z"),
        ("TIMESTAMP", datetime(2011, 12, 9, 12, 50, 0, 120000, tzinfo=UTC), "2011-12-09T12:50:00.120000Z"),
        ("TIMESTAMP", datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        ("TIMESTAMP", datetime(1960, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "1960-01-01T00:00:00.000001Z"),
        ("STRUCT<d: DATE, m: DECIMAL(9,2)>", {"d": date(2026, 1, 2), "m": None}, {"d": "2026-01-02", "m": None}),
        ("STRUCT<d: DATE>", None, None),
        ("ARRAY<DECIMAL(9,2)>", [Decimal(1), None], ["1.00", None]),
        ("ARRAY<DECIMAL(9,2)>", [], []),
        ("ARRAY<STRUCT<at: TIMESTAMP, n: ARRAY<DATE>>>", None, None),
        (
            "ARRAY<STRUCT<at: TIMESTAMP, n: ARRAY<DATE>>>",
            [{"at": datetime(2026, 1, 1, tzinfo=UTC), "n": [date(2026, 1, 2)]}, None],
            [{"at": "2026-01-01T00:00:00Z", "n": ["2026-01-02"]}, None],
        ),
    ],
)
def test_each_type_has_one_spelling(kind: str, value: Any, text: Any) -> None:
    assert one(kind, value) == text
    assert one(kind, None) is None


def test_a_segment_per_personal_class_and_one_for_the_rest() -> None:
    dataset = served(
        Column("n", "INT", "N."),
        Column("email", "STRING", "E.", "pii.email"),
        Column("first_name", "STRING", "F.", "pii.name"),
        Column("m", "INT", "M."),
        Column("last_name", "STRING", "L.", "pii.name"),
    )
    encoder = ProfileEncoder(dataset)
    assert encoder.fields == {
        "public": ("id", "n", "m"),
        "pii.email": ("email",),
        "pii.name": ("first_name", "last_name"),
    }
    assert (encoder.view, encoder.key) == ("things", "id")
    ((key, parts),) = encoded(dataset, rows_of(dataset, ["C1"]))
    assert key == "C1"
    assert {cls: tuple(members) for cls, members in parts.items()} == encoder.fields


def test_rows_of_a_slice_are_its_own() -> None:
    dataset = served(
        Column("v", "ARRAY<STRUCT<n: BIGINT, d: DECIMAL(9,2)>>", "V."), Column("s", "STRUCT<n: BIGINT>", "S.")
    )
    rows = rows_of(dataset, [f"C{i}" for i in range(20_000)])
    assert encoded(dataset, rows.slice(9_000, 10)) == encoded(dataset, rows)[9_000:9_010]
    assert len({key for key, _ in encoded(dataset, rows)}) == 20_000


def test_no_rows_are_no_profiles() -> None:
    dataset = served(Column("v", "ARRAY<INT>", "V."))
    assert encoded(dataset, rows_of(dataset, [])) == []


def test_a_row_without_a_key_is_refused() -> None:
    dataset = served(Column("v", "INT", "V."))
    with pytest.raises(NullKey):
        list(ProfileEncoder(dataset).encode(pa.table({"id": pa.array(["a", None]), "v": pa.array([1, 2], pa.int32())})))


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset("gold.t", "T.", (KEY,), Recorded(), NoSubject("none")),
        served(key=Column("id", "BIGINT", "Id.")),
        served(key=Column("id", "STRING", "Id.", "pii.email")),
    ],
)
def test_what_cannot_be_served_is_refused_at_declaration(dataset: Dataset) -> None:
    with pytest.raises(InvalidDeclaration):
        ProfileEncoder(dataset)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.one_of(st.none(), st.decimals(-(10**30), 10**30, places=2)), min_size=1, max_size=20))
def test_no_digit_of_money_is_lost(values: list[Decimal | None]) -> None:
    dataset = served(Column("v", "DECIMAL(38,2)", "V."))
    rows = pa.table({"id": [str(i) for i in range(len(values))], "v": pa.array(values, pa.decimal128(38, 2))})
    read = [parts["public"]["v"] for _, parts in encoded(dataset, rows)]
    assert [None if text is None else Decimal(text) for text in read] == values
