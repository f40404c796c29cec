"""The edge of a dataset on Spark: a query's result is cast to the declared types, and a cast that would change a value fails.

The generated expressions raise errors whose text is one of our own codes and a column name; `raised_by` turns whatever Spark
raises back into errors of this project, none of which repeats a value (Spark's own messages do: ``The value '…' of the type``).
"""

from __future__ import annotations

import re

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import types as spark_types

from kit.errors import C360Error
from lakehouse.dataset import Column, Dataset
from lakehouse.engine import CHANGE, LossyCast, NullKey, QueryFailed
from lakehouse.schema import DataType

_MARK = re.compile(r"c360:(lossy_cast|null_key):(\S+?):c360")
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)?)\]")
SPARK_FAILURES = (PySparkException, Py4JJavaError)
"""What pyspark raises for a failure in the JVM: known classes as its own, all others as Py4J's."""


def declared_rows(target: Dataset, rows: DataFrame, extra: tuple[str, ...] = ()) -> DataFrame:
    """The query's rows as the declared columns, then ``extra`` ones. Values are checked when the result is computed.

    Raises QueryFailed where the query does not yield a declared column, or yields one that is not declared.
    """
    stored = {field.name: field.dataType for field in rows.schema.fields}
    missing = [name for name in (*target.column_names, *extra) if name not in stored]
    surplus = [name for name in stored if name not in target.column_names and name not in extra]
    if missing or surplus:
        raise QueryFailed(
            f"{target.name}: the query must yield the declared columns; missing: {', '.join(missing) or 'none'}; "
            f"not declared: {', '.join(surplus) or 'none'}"
        )
    columns = [_checked(target, column, stored[column.name], extra) for column in target.columns]
    try:
        return rows.selectExpr(*columns, *map(quoted, extra))
    except SPARK_FAILURES as failure:
        raise raised_by(failure) from None


def raised_by(failure: BaseException) -> C360Error:
    """The error of this project that a failed statement means. Its message never repeats a value."""
    text = str(failure)
    if mark := _MARK.search(text):
        where = mark[2]
        if mark[1] == "null_key":
            return NullKey(
                f"{where} is NULL, and is declared not to be; drop or quarantine such rows by an expectation"
            )
        return LossyCast(f"{where}: a value does not fit the declared type without loss; round or cast it in the query")
    if isinstance(failure, AnalysisException | ParseException):
        return QueryFailed(f"the query is not valid: {text.strip().splitlines()[0]}")
    conditions = [found for found in _CONDITION.findall(text) if found != "USER_RAISED_EXCEPTION"]
    reason = conditions[0] if conditions else type(failure).__name__
    return QueryFailed(
        f"a row made the query fail ({reason}); under ANSI rules an overflow or a bad cast is an error: use try_cast or try_divide"
    )


def quoted(name: str) -> str:
    """A Spark SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def declared_spelling(stored: spark_types.DataType) -> str:
    """A Spark type as declarations spell it (``lakehouse.schema``); Spark's own spelling where declarations have none."""
    if isinstance(stored, spark_types.StructType):
        return (
            "STRUCT<" + ", ".join(f"{field.name}: {declared_spelling(field.dataType)}" for field in stored.fields) + ">"
        )
    if isinstance(stored, spark_types.ArrayType):
        return f"ARRAY<{declared_spelling(stored.elementType)}>"
    if isinstance(stored, spark_types.MapType):
        return f"MAP<{declared_spelling(stored.keyType)}, {declared_spelling(stored.valueType)}>"
    return stored.simpleString().upper()


def _checked(target: Dataset, column: Column, stored: spark_types.DataType, extra: tuple[str, ...]) -> str:
    name, where = quoted(column.name), f"{target.name}.{column.name}"
    value = _lossless(name, stored, column.data_type, where)
    if not column.nullable:
        # a row that deletes needs its key only
        deletes = f" AND {quoted(CHANGE)} <> 'delete'" if CHANGE in extra and column.name not in target.keys else ""
        value = f"CASE WHEN {name} IS NULL{deletes} THEN {_raise('null_key', where)} ELSE {value} END"
    return f"CAST({value} AS {column.data_type.sql}) AS {name}"


def _lossless(value: str, stored: spark_types.DataType, declared: DataType, where: str, depth: int = 0) -> str:
    spelled = declared_spelling(stored)
    if spelled == declared.sql or isinstance(stored, spark_types.NullType) or _widens(spelled, declared.sql):
        return value
    if isinstance(stored, spark_types.StructType) and declared.is_struct:
        return _lossless_struct(value, stored, declared, where, depth)
    if isinstance(stored, spark_types.ArrayType) and declared.element is not None:
        each = f"__e{depth}"
        return (
            f"transform({value}, {each} -> {_lossless(each, stored.elementType, declared.element, where, depth + 1)})"
        )
    there = f"try_cast({value} AS {declared.sql})"
    return f"CASE WHEN try_cast({there} AS {stored.simpleString()}) <=> {value} THEN {there} ELSE {_raise('lossy_cast', where)} END"


def _lossless_struct(value: str, stored: spark_types.StructType, declared: DataType, where: str, depth: int) -> str:
    """Members go by name: a cast of Spark's own would go by position."""
    have = {field.name: field.dataType for field in stored.fields}
    if have.keys() != {name for name, _ in declared.fields}:
        raise QueryFailed(
            f"{where}: the query must yield the struct members {', '.join(name for name, _ in declared.fields)}"
        )
    members = ", ".join(
        f"'{name}', CAST({_lossless(f'{value}.{quoted(name)}', have[name], member, where, depth)} AS {member.sql})"
        for name, member in declared.fields
    )
    return f"CASE WHEN {value} IS NOT NULL THEN named_struct({members}) END"


def _raise(code: str, where: str) -> str:
    return f"raise_error('c360:{code}:{where}:c360')"


_INTEGERS = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}


def _widens(stored: str, declared: str) -> bool:
    """Whether every value of the one type is a value of the other."""
    if stored in _INTEGERS and declared in _INTEGERS:
        return _INTEGERS[stored] <= _INTEGERS[declared]
    have, want = _decimal(stored), _decimal(declared)
    return have is not None and want is not None and have[1] <= want[1] and have[0] - have[1] <= want[0] - want[1]


def _decimal(kind: str) -> tuple[int, int] | None:
    if kind in _INTEGERS:
        return _INTEGERS[kind], 0
    match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    return (int(match[1]), int(match[2])) if match else None
