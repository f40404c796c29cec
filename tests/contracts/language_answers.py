"""What an engine answers to the expressions of the language test, in a form in which two engines' answers can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.contracts import expressions

Run = Callable[[str], pa.Table]
"""Runs one query in Spark SQL over the view ``t``; raises where the engine does."""

WIDE = 60


@dataclass(frozen=True)
class Answer:
    """``value`` is comparable: by row where there is a key, else a bag or, with an order, a list of rows. None: it failed."""

    value: object = None
    failure: str | None = None

    def differs(self, other: Answer) -> str | None:
        """How the two differ, in short; None where they are the same."""
        if self.failure is not None or other.failure is not None:
            both = self.failure is not None and other.failure is not None
            return None if both else f"one failed: {self.failure or other.failure}"
        return None if self.value == other.value else _first_difference(self.value, other.value)


def questions() -> dict[str, str]:
    """Every entry of the corpus that yields rows, with the query that asks it."""
    asked = {entry: f"SELECT id, {entry} AS c FROM t" for entry in (*expressions.PER_ROW, *expressions.WINDOWED)}
    asked |= {entry: f"SELECT g, {entry} AS c FROM t GROUP BY g" for entry in expressions.GROUPED}
    return asked | {query: query for query in expressions.QUERIES}


def ask(run: Run, queries: Mapping[str, str], at_once: int = 1) -> dict[str, Answer]:
    """One answer per entry, each by a query of its own; ``at_once`` of them, where the engine's session may be shared."""
    with ThreadPoolExecutor(at_once) as pool:
        return dict(zip(queries, pool.map(lambda query: _answer(run, query), queries.values()), strict=True))


def ask_wide(run: Run, at_once: int) -> dict[str, Answer]:
    """The same answers as `ask` gives to `questions`, by few wide queries; an entry that fails a wide one is asked alone."""
    answers: dict[str, Answer] = {}
    for entries, key, tail in (
        (expressions.PER_ROW, "id", ""),
        (expressions.WINDOWED, "id", ""),
        (expressions.GROUPED, "g", " GROUP BY g"),
    ):
        for start in range(0, len(entries), WIDE):
            answers |= _ask_together(run, entries[start : start + WIDE], key, tail)
    return answers | ask(run, {query: query for query in expressions.QUERIES}, at_once)


def _ask_together(run: Run, entries: Iterable[str], key: str, tail: str) -> dict[str, Answer]:
    entries = list(entries)
    columns = ", ".join(f"{entry} AS c{position}" for position, entry in enumerate(entries))
    try:
        rows = run(f"SELECT {key}, {columns} FROM t{tail}")
    except Exception:  # noqa: BLE001 - which error an engine raises is its own affair
        return ask(run, {entry: f"SELECT {key}, {entry} AS c FROM t{tail}" for entry in entries})
    keys = comparable(rows.column(0))
    return {
        entry: Answer(dict(zip(keys, comparable(rows.column(position + 1)), strict=True)))
        for position, entry in enumerate(entries)
    }


def _answer(run: Run, query: str) -> Answer:
    try:
        rows = run(query)
    except Exception as failure:  # noqa: BLE001 - as above
        return Answer(failure=f"{type(failure).__name__}: {str(failure).splitlines()[0][:160]}")
    columns = [comparable(column) for column in rows.columns]
    if rows.column_names in (["id", "c"], ["g", "c"]):
        return Answer(dict(zip(*columns, strict=True)))
    lines = list(zip(*columns, strict=True))
    ordered = " ORDER BY " in query.rpartition(")")[2]
    return Answer((tuple(rows.column_names), tuple(lines) if ordered else Counter(lines)))


def comparable(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """Python values that are equal where the engines' values are: numbers by value and family, instants in microseconds."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    kind = array.type
    if pa.types.is_timestamp(kind):
        tag = "at" if kind.tz else "local"
        return [_tagged(tag, value) for value in array.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()).to_pylist()]
    if pa.types.is_date(kind):
        return [_tagged("on", value) for value in array.cast(pa.int32()).to_pylist()]
    if pa.types.is_struct(kind):
        members = [(kind.field(place).name, comparable(array.field(place))) for place in range(kind.num_fields)]
        return [
            tuple((name, values[row]) for name, values in members) if valid else None
            for row, valid in enumerate(array.is_valid().to_pylist())
        ]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = iter(comparable(array.flatten()))
        return [
            None if size is None else tuple(next(values) for _ in range(size))
            for size in array.value_lengths().to_pylist()
        ]
    return [_plain(value) for value in array.to_pylist()]


def _tagged(tag: str, value: Any) -> Any:
    return None if value is None else (tag, value)


def _plain(value: Any) -> Any:
    """-0.0 equals 0.0, as SQL has it; a DOUBLE never equals an exact number, nor a truth value 1."""
    if isinstance(value, bool):
        return ("is", value)
    if isinstance(value, float):
        return ("double", "nan") if value != value else ("double", value)  # noqa: PLR0124 - NaN
    if isinstance(value, int | Decimal):
        return ("exact", Decimal(value))
    return value


def _first_difference(one: object, other: object) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        rows = [key for key in one.keys() | other.keys() if one.get(key, "no row") != other.get(key, "no row")]
        return (
            f"{len(rows)} rows, such as {rows[0]}: {one.get(rows[0], 'no row')!r} and {other.get(rows[0], 'no row')!r}"
        )
    return f"{str(one)[:300]} and {str(other)[:300]}"
