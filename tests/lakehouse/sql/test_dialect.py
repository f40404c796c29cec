from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, localcontext

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.sql.corrections.base import MARK
from lakehouse.sql.dialect import CORRECTIONS, install, to_duckdb
from lakehouse.sql.regex import to_re2, to_re2_replacement
from lakehouse.sql.types import average_type, quotient_type
from lakehouse.sql.unsupported import UnsupportedSql


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duckdb.connect(":memory:", config={"threads": "1"})
    install(opened)
    yield opened
    opened.close()


def test_the_date_stays_a_parameter() -> None:
    assert to_duckdb("SELECT ts < :as_of AS x FROM v").count("$as_of") == 1


def test_corrections_have_names_of_their_own_and_reasons() -> None:
    assert len({correction.name for correction in CORRECTIONS}) == len(CORRECTIONS)
    assert all(correction.why for correction in CORRECTIONS)


def test_nested_corrections_are_planned_quickly(connection: duckdb.DuckDBPyConnection) -> None:
    nested = "p"
    for _ in range(6):
        nested = (
            f"CAST(round(try_divide(CAST({nested} AS DECIMAL(38,6)), CAST(2 AS DECIMAL(10,0))), 4) AS DECIMAL(38,6))"
        )
    native = to_duckdb(f"SELECT {nested} AS x FROM VALUES (CAST(64 AS DECIMAL(18,6))) AS v(p)")
    assert len(native) < 20_000
    assert connection.execute(native).fetchone() == (Decimal(1),)


def test_a_guard_does_not_keep_a_filter_or_a_join_key_back(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE OR REPLACE TABLE left_side AS SELECT range AS k, 'x' AS s FROM range(10)")
    connection.execute("CREATE OR REPLACE TABLE right_side AS SELECT * FROM left_side")
    for key in ("{}.s", "trim({}.s)"):
        joined = f"{key.format('l')} = {key.format('r')}"
        native = to_duckdb(
            f"SELECT l.s FROM left_side AS l JOIN right_side AS r ON {joined} AND l.k = r.k WHERE r.s = 'y'"
        )
        assert "c360_" in native.lower()
        plan = str(connection.execute(f"EXPLAIN (FORMAT json) {native}").fetchall()[0][1])
        assert "HASH_JOIN" in plan or "EMPTY_RESULT" in plan
        assert MARK not in plan
        assert key != "{}.s" or "CASE" not in plan  # a trim's own CASE guards nothing


@given(
    above=st.one_of(st.integers(-(10**7), 10**7), st.integers(-(10**18) + 1, 10**18 - 1)),  # both ways of dividing
    below=st.integers(-(10**9) + 1, 10**9 - 1),
    scales=st.tuples(st.integers(0, 6), st.integers(0, 4)),
)
@settings(max_examples=60, deadline=None)
def test_quotients_are_exact(above: int, below: int, scales: tuple[int, int]) -> None:
    """Against Python's decimals, by Spark's rule: half-up at the quotient's scale, NULL for a zero divisor."""
    with localcontext() as context:
        context.prec = 100
        one, other = Decimal(above).scaleb(-scales[0]), Decimal(below).scaleb(-scales[1])
        _, scale = quotient_type((18, scales[0]), (9, scales[1]))
        expected = (one / other).quantize(Decimal(1).scaleb(-scale), rounding="ROUND_HALF_UP") if below else None
    connection = duckdb.connect(":memory:", config={"threads": "1"})
    install(connection)
    native = to_duckdb(
        f"SELECT CAST(try_divide(CAST({one:f} AS DECIMAL(18,{scales[0]})), CAST({other:f} AS DECIMAL(9,{scales[1]}))) AS DECIMAL(38,{scale})) AS x"
    )
    assert connection.execute(native).fetchone() == (expected,)
    connection.close()


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [((18, 6), (10, 0), (29, 17)), ((38, 6), (19, 0), (38, 6)), ((38, 6), (18, 6), (38, 6)), ((1, 0), (10, 0), (12, 11)), ((10, 2), (5, 2), (18, 8))],
)  # fmt: skip
def test_quotients_have_sparks_type(above: tuple[int, int], below: tuple[int, int], expected: tuple[int, int]) -> None:
    assert quotient_type(above, below) == expected


def test_averages_have_sparks_type() -> None:
    assert average_type((18, 6)) == (22, 10)
    assert average_type((38, 6)) == (38, 10)


class TestRegex:
    @pytest.mark.parametrize(
        ("pattern", "translated"),
        [("a.b", r"a[^\n\r\x{85}\x{2028}\x{2029}]b"), (r"a\.b", r"a\.b"), ("[.]", "[.]"), (r"\s", r"[\t\n\x0B\f\r ]"), (r"[\s,]", r"[\t\n\x0B\f\r ,]"), (r"[^\]]\z", r"[^\]]\z")],
    )  # fmt: skip
    def test_patterns_keep_javas_meaning(self, pattern: str, translated: str) -> None:
        assert to_re2(pattern) == translated

    def test_replacements_name_groups_as_re2_does(self) -> None:
        assert to_re2_replacement(r"$2-$0\$\\") == r"\2-\0$" + "\\\\"

    @pytest.mark.filterwarnings("ignore::FutureWarning")  # Python may once read || within brackets otherwise
    @given(
        pattern=st.text(alphabet="ab.[]^|()?*+", min_size=1, max_size=6),
        text=st.text(alphabet="ab.\u00e9 ", max_size=5),
    )
    @example(pattern="[a||]", text="a")
    def test_a_pattern_finds_what_it_did(self, connection: duckdb.DuckDBPyConnection, pattern: str, text: str) -> None:
        """Python stands in for Java: over letters without line breaks, these constructs mean the same to both."""
        try:
            translated = to_re2(pattern)
            expected = re.search(pattern, text) is not None
        except (UnsupportedSql, re.error):
            return
        found = connection.execute("SELECT regexp_matches(?, ?)", [text, translated]).fetchone()
        assert found == (expected,)
