"""The language means the same on both engines: the corpus on real Spark and on DuckDB over adversarial rows, and every
correction of the dialect needed for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.sql.corrections.base import Correction
from lakehouse.sql.corrections.letters import LOWER_MANY, LOWER_ONE, UPPER_MANY, UPPER_ONE
from lakehouse.sql.dialect import CORRECTIONS, install, to_duckdb
from lakehouse.sql.language import parse
from tests.contracts import expressions
from tests.contracts.adversarial_rows import adversarial_rows
from tests.contracts.language_answers import Answer, Run, ask, ask_wide, questions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF = date(2024, 3, 31)
AT_ONCE = 4
_SPARK = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    # compiling wide selects takes longer than interpreting a few hundred rows
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
}
FAILING = {query: f"SELECT {query}" for query in expressions.RAISING}
ONE_SIDED = {query: f"SELECT {query}" for query, _ in expressions.STRICTER}
ALL = questions() | FAILING | ONE_SIDED

pytestmark = pytest.mark.xdist_group("spark")


@pytest.fixture(scope="module")
def run_spark(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    own = spark.newSession()
    for key, value in _SPARK.items():
        own.conf.set(key, value)
    file = tmp_path_factory.mktemp("language") / "rows.parquet"
    pq.write_table(adversarial_rows(), file)
    rows = own.read.parquet(file.as_uri()).cache()
    rows.createOrReplaceTempView("t")
    yield lambda query: own.sql(query, args={"as_of": AS_OF}).toArrow()
    rows.unpersist()


@pytest.fixture(scope="module")
def from_spark(run_spark: Run) -> dict[str, Answer]:
    return ask_wide(run_spark, AT_ONCE) | ask(run_spark, FAILING | ONE_SIDED, AT_ONCE)


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(":memory:", config={"threads": "1"})
    install(connection)
    connection.register("arriving", adversarial_rows())
    connection.execute("CREATE TABLE t AS SELECT * FROM arriving")
    yield connection
    connection.close()


def running(connection: duckdb.DuckDBPyConnection, translate: Callable[[str], str] = to_duckdb) -> Run:
    def run(query: str) -> pa.Table:
        native = translate(query).replace("$as_of", f"DATE '{AS_OF.isoformat()}'")
        return connection.execute(native).to_arrow_table()

    return run


def differences(from_spark: dict[str, Answer], from_duckdb: dict[str, Answer]) -> list[str]:
    """Where an entry's answers are not what the corpus says of it."""
    found = []
    for entry, answer in from_duckdb.items():
        if entry in ONE_SIDED:
            refusing = dict(expressions.STRICTER)[entry]
            refused = (answer.failure is not None, from_spark[entry].failure is not None)
            if refused != (refusing == "embedded", refusing == "spark"):
                found.append(
                    f"{entry}: {refusing} alone should refuse it; {answer.failure}; {from_spark[entry].failure}"
                )
        elif entry in FAILING and answer.failure is None:
            found.append(f"{entry}: should fail")
        elif difference := from_spark[entry].differs(answer):
            found.append(f"{entry}: {difference}")
    return found


def test_the_corpus_is_in_the_language() -> None:
    for query in ALL.values():
        parse(query)


def test_engines_answer_alike(from_spark: dict[str, Answer], duck: duckdb.DuckDBPyConnection) -> None:
    failed = [
        entry
        for entry, answer in from_spark.items()
        if answer.failure and entry not in FAILING and entry not in ONE_SIDED
    ]
    assert not failed, "the corpus says that these yield rows, and Spark fails on them"
    answered = [entry for entry in FAILING if from_spark[entry].failure is None]
    assert not answered, "the corpus says that these fail, and Spark answers"
    found = differences(from_spark, ask(running(duck), ALL))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("missing", CORRECTIONS, ids=lambda correction: correction.name)
def test_every_correction_is_needed(
    missing: Correction, from_spark: dict[str, Answer], duck: duckdb.DuckDBPyConnection
) -> None:
    others = tuple(correction for correction in CORRECTIONS if correction is not missing)

    def translate(query: str) -> str:
        return to_duckdb(query, others)

    touched = {entry: query for entry, query in ALL.items() if translate(query) != to_duckdb(query)}
    answers = ask(running(duck, translate), touched)
    assert differences(from_spark, answers), (
        "without this correction nothing differs: the corpus lacks a case, or the correction is idle"
    )


def test_case_of_every_letter(duck: duckdb.DuckDBPyConnection, spark: SparkSession, tmp_path: Path) -> None:
    """lower() and upper() of every code point that has another case anywhere, alone and after a letter."""
    every = [chr(point) for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000]
    listed = {*LOWER_ONE[0], *LOWER_ONE[1], *UPPER_ONE[0], *UPPER_ONE[1], *LOWER_MANY, *UPPER_MANY}
    letters = pa.table(
        {"c": [letter for letter in every if letter.lower() != letter or letter.upper() != letter or letter in listed]}
    )
    assert letters.num_rows > 2500
    pq.write_table(letters, tmp_path / "letters.parquet")
    query = "SELECT lower(c) AS a, upper(c) AS b, lower(concat('a', c)) AS d, upper(concat('a', c)) AS e, length(c) AS n FROM letters"
    own = spark.newSession()
    own.read.parquet((tmp_path / "letters.parquet").as_uri()).createOrReplaceTempView("letters")
    spark_rows = own.sql(query).toArrow()
    duck.register("arriving_letters", letters)
    duck.execute("CREATE OR REPLACE TABLE letters AS SELECT * FROM arriving_letters")
    duckdb_rows = running(duck)(query)
    for name in spark_rows.column_names:
        pairs = zip(letters["c"].to_pylist(), spark_rows[name].to_pylist(), duckdb_rows[name].to_pylist(), strict=True)
        assert [hex(ord(letter)) for letter, one, other in pairs if one != other] == [], name
