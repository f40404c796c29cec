"""The edge of a dataset: a query's result is cast to the declared types, and a cast that would change a value is a failure.

The generated expressions raise DuckDB errors whose text is one of our own codes and a column name, so that no value of a row
can leak through a message; `raised_by` turns them back into errors of this project.
"""

from __future__ import annotations

import re

import duckdb

from kit.errors import C360Error
from lakehouse.dataset import Column, Dataset
from lakehouse.embedded.scan import literal, quoted
from lakehouse.engine import CHANGE, LossyCast, NullKey, QueryFailed
from lakehouse.sql.corrections.base import MARK
from lakehouse.sql.unsupported import UnsupportedSql

_MARK = re.compile(r"c360:(lossy_cast|null_key):(\S+?):c360")
_REFUSED = re.compile(f"{MARK}(.+?){MARK}")
_ABOUT_THE_TEXT = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)


def edge_select(target: Dataset, stored: dict[str, str], source: str, extra: tuple[str, ...] = ()) -> str:
    """DuckDB SQL that reads ``source`` (a view with column types ``stored``) as the declared columns, then ``extra`` ones.

    Raises QueryFailed where the query does not yield a declared column, or yields one that is not declared.
    """
    missing = [name for name in (*target.column_names, *extra) if name not in stored]
    surplus = [name for name in stored if name not in target.column_names and name not in extra]
    if missing or surplus:
        raise QueryFailed(
            f"{target.name}: the query must yield the declared columns; missing: {', '.join(missing) or 'none'}; "
            f"not declared: {', '.join(surplus) or 'none'}"
        )
    columns = [
        f"{_checked(target, column, stored[column.name], extra)} AS {quoted(column.name)}" for column in target.columns
    ]
    return f"SELECT {', '.join([*columns, *map(quoted, extra)])} FROM {quoted(source)}"


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
    if refused := _REFUSED.search(text):
        return UnsupportedSql(refused[1])
    if isinstance(failure, _ABOUT_THE_TEXT):
        return QueryFailed(f"the query is not valid: {text.splitlines()[0]}")
    if isinstance(failure, duckdb.OutOfMemoryException):
        return QueryFailed("the engine's memory limit is too small for this step; raise C360_MEMORY_LIMIT_MB")
    return QueryFailed(
        f"a row made the query fail ({type(failure).__name__}); under ANSI rules an overflow or a bad cast is an error: use try_cast or try_divide"
    )


def _checked(target: Dataset, column: Column, stored: str, extra: tuple[str, ...]) -> str:
    name, declared = quoted(column.name), column.data_type.duckdb
    where = f"{target.name}.{column.name}"
    value = name
    if stored != declared:
        value = name if stored == '"NULL"' else _lossless(name, stored, declared, where)
        value = f"CAST({value} AS {declared})"
    if column.nullable:
        return value
    # a row that deletes needs its key only
    kept = f" AND {quoted(CHANGE)} <> 'delete'" if CHANGE in extra and column.name not in target.keys else ""
    return f"CASE WHEN {name} IS NULL{kept} THEN error({_mark('null_key', where)}) ELSE {value} END"


def _lossless(column: str, stored: str, declared: str, where: str) -> str:
    if _widens(stored, declared):
        return column
    there = f"TRY_CAST({column} AS {declared})"
    return (
        f"CASE WHEN TRY_CAST({there} AS {stored}) IS NOT DISTINCT FROM {column} THEN {there} "
        f"ELSE error({_mark('lossy_cast', where)}) END"
    )


def _mark(code: str, where: str) -> str:
    return literal(f"c360:{code}:{where}:c360")


_INTEGERS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19}


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
