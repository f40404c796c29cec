"""Corrections of dates and instants."""

from __future__ import annotations

from sqlglot import exp

from lakehouse.sql.corrections.base import Correction, Rewrite, call, calling, guard, macro

_MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1000,
    "SECOND": 10**6,
    "MINUTE": 60 * 10**6,
    "HOUR": 3600 * 10**6,
    "DAY": 86400 * 10**6,
    "WEEK": 7 * 86400 * 10**6,
}
_DATE_UNITS = {
    "YEAR": "year",
    "YYYY": "year",
    "YY": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "MM": "month",
    "MON": "month",
    "WEEK": "week",
}


def _difference(node: exp.Expr) -> exp.Expr:
    size = _MICROSECONDS[node.args["unit"].name.upper()]
    return call("c360_difference", node.this, node.expression, exp.Literal.number(size))


def _shifted(node: exp.Expr) -> exp.Expr:
    if isinstance(node.expression, exp.Interval):
        node.set("this", call("c360_only_instant", node.this))
    return node


def _truncated_date(node: exp.Expr) -> exp.Expr:
    day, unit = node.expressions
    return exp.Cast(
        this=call("date_trunc", exp.Literal.string(_DATE_UNITS[unit.name.upper()]), call("c360_date_of", day)),
        to=exp.DataType.build("DATE"),
    )


def _truncated(node: exp.Expr) -> exp.Expr:
    return call("date_trunc", exp.Literal.string(node.args["unit"].name.lower()), call("c360_instant", node.this))


def _extracted(node: exp.Expr) -> exp.Expr:
    field = node.name.upper()
    value = node.expression
    if field in ("DOW", "DAYOFWEEK"):
        return exp.Add(this=call("dayofweek", value), expression=exp.Literal.number(1))
    return node


def _day(node: exp.Expr) -> exp.Expr:
    return call("c360_date_of", node)


def _months(node: exp.Expr) -> exp.Expr:
    moved = exp.Add(this=_day(node.this), expression=call("to_months", node.expression))
    return exp.Cast(this=moved, to=exp.DataType.build("DATE"))


def _between_days(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=exp.Sub(this=_day(node.expressions[0]), expression=_day(node.expressions[1])))


def _moved(operation: type[exp.Binary]) -> Rewrite:
    return lambda node: exp.Paren(
        this=operation(this=_day(node.expressions[0]), expression=exp.Paren(this=node.expressions[1]))
    )


CORRECTIONS = (
    Correction(
        "timestampdiff",
        "Spark counts whole units gone by, DuckDB the boundaries crossed",
        {exp.TimestampDiff: _difference},
        macros=(
            macro(
                "c360_difference(a, b, size)",
                "CAST((epoch_us(c360_instant(a)) - epoch_us(c360_instant(b))) // size AS BIGINT)",
            ),
        ),
    ),
    Correction(
        "interval",
        "a date moved by days stays a date in Spark and becomes an instant in DuckDB",
        {exp.Add: _shifted, exp.Sub: _shifted},
        macros=(
            guard(
                "c360_only_instant(x)",
                "typeof(x) <> 'TIMESTAMP WITH TIME ZONE'",
                "an INTERVAL moves a TIMESTAMP; for a DATE write date_add or add_months",
            ),
        ),
    ),
    Correction("date_trunc", "an instant in Spark also when cut from a date", {exp.TimestampTrunc: _truncated}),
    Correction("trunc", "DuckDB has no trunc of dates", functions={"trunc": _truncated_date}),
    Correction(
        "date_arithmetic",
        "DuckDB has other names or another order for these, or counts otherwise",
        {exp.AddMonths: _months},
        functions={
            "datediff": _between_days,
            "date_diff": _between_days,
            "date_add": _moved(exp.Add),
            "date_sub": _moved(exp.Sub),
        },
    ),
    Correction(
        "day_of_week",
        "Sunday is 1 in Spark's dayofweek, 0 in DuckDB; weekday starts at Monday",
        {exp.Extract: _extracted},
        functions={"dayofweek": calling("c360_dayofweek"), "weekday": calling("c360_weekday")},
        macros=(macro("c360_dayofweek(x)", "dayofweek(x) + 1"), macro("c360_weekday(x)", "isodow(x) - 1")),
    ),
    Correction(
        "unix_time",
        "Spark rounds down, DuckDB towards zero or to the nearest",
        {exp.UnixSeconds: calling("c360_unix_seconds"), exp.UnixMillis: calling("c360_unix_millis")},
        functions={
            name: calling(f"c360_{name}") for name in ("timestamp_seconds", "timestamp_millis", "timestamp_micros")
        },
        macros=(
            macro("c360_unix_seconds(x)", "(epoch_us(x) - ((epoch_us(x) % 1000000) + 1000000) % 1000000) // 1000000"),
            macro("c360_unix_millis(x)", "(epoch_us(x) - ((epoch_us(x) % 1000) + 1000) % 1000) // 1000"),
            *(
                macro(f"c360_timestamp_{unit}(x)", f"timezone('UTC', make_timestamp(x * {size}))")
                for unit, size in (
                    ("seconds", "CAST(1000000 AS BIGINT)"),
                    ("millis", "CAST(1000 AS BIGINT)"),
                    ("micros", "1"),
                )
            ),
        ),
    ),
    Correction(
        "to_date",
        "DuckDB has no to_date; a text is read by try_cast only",
        functions={"to_date": lambda node: _day(node.expressions[0])},
    ),
)

MACROS = (
    guard("c360_no_text(x)", "typeof(x) = 'VARCHAR'", "a text is not a date or an instant here: use try_cast"),
    macro("c360_instant(x)", "TRY_CAST(c360_no_text(x) AS TIMESTAMPTZ)"),
    macro("c360_date_of(x)", "TRY_CAST(c360_no_text(x) AS DATE)"),
)
