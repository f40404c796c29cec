from __future__ import annotations

import pytest

from lakehouse.sql.language import may_read, parse, parse_expression
from lakehouse.sql.unsupported import UnsupportedSql


class TestInputs:
    def test_tables_of_layers_are_inputs_and_names_of_the_query_are_not(self) -> None:
        statement = parse(
            "WITH orders AS (SELECT * FROM silver.orders) SELECT * FROM orders JOIN Gold.Customer_360 AS c ON c.id = orders.id "
            "WHERE EXISTS (SELECT 1 FROM bronze.events AS e WHERE e.id = orders.id) AND id IN (SELECT id FROM some_view)"
        )
        assert statement.inputs == {"silver.orders", "gold.customer_360", "bronze.events"}

    def test_the_date_of_the_run_is_the_one_parameter(self) -> None:
        assert parse("SELECT 1 AS x").parameters == frozenset()
        assert parse("SELECT ts < :as_of AS x FROM silver.orders").parameters == {"as_of"}
        with pytest.raises(UnsupportedSql, match=":until"):
            parse("SELECT ts < :until AS x FROM silver.orders")


class TestBound:
    def test_inputs_are_read_from_views_and_the_rest_of_the_text_stays(self) -> None:
        sql = "SELECT orders.x, o.y -- silver.orders\nFROM silver.orders JOIN `silver`.`orders` o ON o.x = orders.x JOIN silver.customers AS silver ON true"
        assert parse(sql).bound({"silver.orders": "v1", "silver.customers": "v2"}) == (
            "SELECT orders.x, o.y -- silver.orders\nFROM v1 AS orders JOIN v1 o ON o.x = orders.x JOIN v2 AS silver ON true"
        )

    def test_a_bound_query_reads_no_tables(self) -> None:
        bound = parse("SELECT * FROM silver.orders").bound({"silver.orders": "__orders"})
        assert parse(bound).inputs == frozenset()

    def test_an_input_without_a_view_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            parse("SELECT * FROM silver.orders").bound({})


class TestExpression:
    def test_columns(self) -> None:
        assert parse_expression("nullif(trim(customer_id), '') || address.city").columns == {"customer_id", "address"}

    @pytest.mark.parametrize(
        "sql", ["a, b", "a FROM t", "(SELECT 1)", "a; b", "", "a AS b FROM t", "EXISTS (SELECT 1)"]
    )
    def test_anything_but_one_expression_is_refused(self, sql: str) -> None:
        with pytest.raises(UnsupportedSql):
            parse_expression(sql)


@pytest.mark.parametrize(
    "sql",
    ["", "SELEC 1", "SELECT 1; SELECT 2", "INSERT INTO a.b SELECT 1", "DROP TABLE a.b", "CREATE VIEW x AS SELECT 1", "DELETE FROM a.b", "SET x = 1",
     "SHOW TABLES", "VACUUM a.b", "MERGE INTO a.b USING c ON true WHEN MATCHED THEN DELETE", "CALL f()", "EXPLAIN SELECT 1"],
)  # fmt: skip
def test_what_is_not_one_query_is_refused(sql: str) -> None:
    with pytest.raises(UnsupportedSql):
        parse(sql)


REFUSED = {
    "a / b": "try_divide", "a % b": "mod", "a div b": "try_divide", "a * b": r"CAST\(a \* b", "round(a, 2)": "says its type", "round(a, b)": "literal", "CAST(round(a, -1) AS INT)": "literal",
    "floor(a)": "says? their type", "try_divide(a, b)": "says? its type", "CAST(try_divide(a, b) AS DECIMAL(9,2))": "both operands", "avg(a)": "avg", "CAST(avg(a) AS DOUBLE)": "avg",
    "CAST(try_divide(CAST(a AS DECIMAL(38,0)), CAST(b AS DECIMAL(38,20))) AS DECIMAL(38,6))": "too many digits", "avg(CAST(a AS DECIMAL(9,2))) OVER (PARTITION BY b)": "avg",
    "now()": ":as_of", "current_date": ":as_of", "current_timestamp": ":as_of", "rand()": "rand", "uuid()": "same rows", "hash(a)": "sha2", "max_by(a, b)": "row_number", "first(a)": "row_number", "any_value(a)": "min",
    "to_json(a)": "struct", "get_json_object(a, '$.x')": "ingest", "from_json(a, 'x INT')": "from_json", "a[0]": "language", "element_at(a, 1)": "explode", "sort_array(a)": "array_sort", "sha2(a, 512)": "256", "some_udf(a)": "some_udf",
    "collect_list(a)": "array_sort", "array_sort(collect_set(named_struct('a', a)))": "collect_list", "array_sort(a, (x, y) -> x - y)": "EXPRESSION", "exists(a, x -> x > 1)": "filter", "struct(a) < struct(b)": "compare their members", "max(struct(a))": "members",
    "CAST('1' AS INT)": "constants", "CAST(trim(a) AS INT)": "try_cast", "CAST(a AS TINYINT)": "TINYINT", "CAST(a AS STRUCT<x: INT>)": "language", "CAST(a AS TIMESTAMP_NTZ)": "language", "DATE '2024-1-1'": "constants", "TIMESTAMP '2024-01-01'": "constants",
    "a RLIKE b": "literal", "a RLIKE 'x$'": r"\\z", r"a RLIKE '\\bx'": "boundary", "a RLIKE '(?i)x'": "groups", "a RLIKE '(?=x)'": "groups", "a RLIKE 'a*+'": "possessive", "a RLIKE '[a&&b]'": "brackets", "a RLIKE '[[:alpha:]]'": "brackets", "regexp_replace(a, 'x*', '')": "empty text", "regexp_replace(a, 'x', b)": "literal",
    "regexp_replace(a, 'x', '$12')": "one digit", "regexp_replace(a, 'x', 'y', 2)": "language", "regexp_extract(a, 'x')": "0 groups", "regexp_extract(a, '(x)', 2)": "1 groups", "split(a, ',', 2)": "language", "a LIKE b": "literal", r"a LIKE 'x\\y'": "backslash", "a LIKE 'x' ESCAPE '!'": "language", "a ILIKE 'x'": "lower",
    "trim(BOTH 'x' FROM a)": "language", "instr(a, b, 2)": "language|not", "locate('a', b, 2)": "language", "lower(a) = 1": "different types", "coalesce(1, 'a')": "different types", "a IN (1, 'x')": "different types", "CASE WHEN a THEN 1 ELSE 'x' END": "different types", "if(a, true, 1)": "different types", "a BETWEEN 1 AND 'x'": "different types", "nullif('a', 1)": "different types",
    "INTERVAL 1 DAY": "stands to the right", "a + INTERVAL 1 MONTH": "MONTH", "a + INTERVAL 1 DAY 2 HOURS": "whole number|language|unit", "a + INTERVAL b DAY": "whole number|not Spark SQL", "date_trunc('decade', a)": "DECADE", "trunc(a, 'day')": "DAY", "extract(SECOND FROM a)": "SECOND", "timestampdiff(MONTH, a, b)": "MONTH", "datediff(DAY, a, b)": "datediff|2 arguments|language", "date_format(a, 'yyyy')": "date_format", "to_timestamp(a)": "try_cast",
    "row_number() OVER (PARTITION BY a)": "ORDER BY", "lag(a) OVER ()": "ORDER BY", "rank() OVER w": "language|ORDER BY", ":x": ":x",
}  # fmt: skip


@pytest.mark.parametrize(("expression", "advice"), REFUSED.items(), ids=REFUSED)
def test_what_the_engines_read_differently_is_refused_with_advice(expression: str, advice: str) -> None:
    with pytest.raises(UnsupportedSql, match=advice):
        parse(f"SELECT {expression} AS x FROM silver.orders")


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM a.b TABLESAMPLE (10 PERCENT)", "SELECT /*+ BROADCAST(b) */ * FROM a.b", "SELECT * FROM range(3)", "SELECT * FROM a.b NATURAL JOIN a.c", "SELECT * FROM a.b SORT BY x", "SELECT * FROM a.b DISTRIBUTE BY x",
     "SELECT * FROM a.b CLUSTER BY x", "SELECT x FROM a.b GROUP BY ROLLUP (x)", "SELECT x FROM a.b GROUP BY CUBE (x)", "SELECT x FROM a.b GROUP BY x WITH ROLLUP", "SELECT * FROM a.b PIVOT (sum(x) FOR y IN (1, 2))", "SELECT sum(x) OVER w FROM a.b WINDOW w AS (ORDER BY y)", "SELECT * FROM a.b LIMIT 1 OFFSET 2",
     "SELECT * FROM a.b LATERAL VIEW OUTER explode(x) AS y", "SELECT * FROM a.b LATERAL VIEW posexplode(x) AS y, z", "WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x", "SELECT * FROM a.b VERSION AS OF 3", "SELECT transform(x) USING 'cat' FROM a.b", "TABLE a.b", "SELECT * FROM a.b FOR UPDATE"],
)  # fmt: skip
def test_clauses_outside_the_language_are_refused(sql: str) -> None:
    with pytest.raises(UnsupportedSql):
        parse(sql)


def test_messages_name_the_construct() -> None:
    with pytest.raises(UnsupportedSql) as refused:
        parse("SELECT xxhash64(a) AS h FROM silver.orders")
    assert refused.value.message == "xxhash64 is not in the language: write sha2(…, 256)"
    assert refused.value.kind == "invalid"
    assert refused.value.code == "sql.unsupported"


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT a, t.B FROM silver.t AS t WHERE c > 1", ["a", "b", "c"]),
        ("SELECT d.e FROM silver.t", ["d"]),
        ("SELECT count(*) AS n FROM silver.t WHERE b > 1", ["b"]),
        ("SELECT count(*) AS n FROM silver.t", ["a"]),
        ("SELECT x.a FROM (SELECT * FROM silver.t) AS x", ["a", "b", "c", "d"]),
        ("SELECT t.* FROM silver.t AS t", ["a", "b", "c", "d"]),
    ],
)
def test_what_a_query_may_read(sql: str, columns: list[str]) -> None:
    assert may_read(sql, ["a", "b", "c", "d"]) == columns


def test_tables_that_are_named_more_than_once_are_told() -> None:
    found = parse("SELECT a FROM silver.t UNION ALL SELECT a FROM silver.u JOIN silver.T AS other ON u.a = other.a")
    assert (found.inputs, found.repeated) == ({"silver.t", "silver.u"}, {"silver.t"})
