"""Column types: the Spark SQL spelling of a declaration, read once into a tree both engines are derived from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from kit.errors import Invalid


class UnknownType(Invalid):
    """A type the lakehouse does not store; the message lists those it does."""

    code = "dataset.unknown_type"


MOST_DIGITS = 38
"""Of a DECIMAL, on both engines and in Parquet."""

_SCALARS: dict[str, tuple[pa.DataType, str]] = {
    "STRING": (pa.string(), "VARCHAR"),
    "BOOLEAN": (pa.bool_(), "BOOLEAN"),
    "INT": (pa.int32(), "INTEGER"),
    "BIGINT": (pa.int64(), "BIGINT"),
    "DOUBLE": (pa.float64(), "DOUBLE"),
    "DATE": (pa.date32(), "DATE"),
    "TIMESTAMP": (pa.timestamp("us", tz="UTC"), "TIMESTAMP WITH TIME ZONE"),
}


@dataclass(frozen=True, slots=True)
class DataType:
    """A type: ``sql`` in canonical Spark SQL, ``arrow`` as read and written, ``duckdb`` as the embedded engine names it.

    ``fields`` are the members of a STRUCT, ``element`` that of an ARRAY, ``entry`` key and value of a MAP.
    """

    sql: str
    arrow: pa.DataType
    duckdb: str
    fields: tuple[tuple[str, DataType], ...] = ()
    element: DataType | None = None
    entry: tuple[DataType, DataType] | None = None

    @property
    def is_struct(self) -> bool:
        return bool(self.fields)

    @property
    def has_range(self) -> bool:
        """Whether Delta keeps its minimum and maximum; Spark refuses to name a BOOLEAN, an ARRAY or a MAP among such columns."""
        return self.element is None and self.entry is None and self.sql != "BOOLEAN"


@lru_cache(maxsize=512)
def parse_type(text: str) -> DataType:
    """Read ``STRING``, ``DECIMAL(p,s)``, ``ARRAY<t>``, ``MAP<k, v>`` and ``STRUCT<name: t, …>``; raises UnknownType for anything
    else."""
    spelled = text.strip()
    upper = spelled.upper()
    if upper in _SCALARS:
        arrow, duckdb = _SCALARS[upper]
        return DataType(upper, arrow, duckdb)
    if match := re.fullmatch(r"DECIMAL\((\d+), ?(\d+)\)", upper):
        precision, scale = int(match[1]), int(match[2])
        if not 0 < precision <= MOST_DIGITS or scale > precision:
            raise UnknownType(f"{text}: a decimal has 1 to 38 digits and no more decimals than digits")
        name = f"DECIMAL({precision},{scale})"
        return DataType(name, pa.decimal128(precision, scale), name)
    if match := re.fullmatch(r"ARRAY<(.+)>", spelled, re.IGNORECASE):
        element = parse_type(match[1])
        return DataType(f"ARRAY<{element.sql}>", pa.list_(element.arrow), f"{element.duckdb}[]", element=element)
    if match := re.fullmatch(r"MAP<(.+)>", spelled, re.IGNORECASE):
        parts = _split(match[1])
        if len(parts) != 2:  # noqa: PLR2004 - a key and a value
            raise UnknownType(f"{text}: a map is written MAP<KEY TYPE, VALUE TYPE>")
        key, value = parse_type(parts[0]), parse_type(parts[1])
        return DataType(
            f"MAP<{key.sql}, {value.sql}>",
            pa.map_(key.arrow, value.arrow),
            f"MAP({key.duckdb}, {value.duckdb})",
            entry=(key, value),
        )
    if match := re.fullmatch(r"STRUCT<(.+)>", spelled, re.IGNORECASE):
        fields = tuple(_parse_field(part) for part in _split(match[1]))
        return DataType(
            "STRUCT<" + ", ".join(f"{name}: {member.sql}" for name, member in fields) + ">",
            pa.struct([pa.field(name, member.arrow) for name, member in fields]),
            "STRUCT(" + ", ".join(f'"{name}" {member.duckdb}' for name, member in fields) + ")",
            fields=fields,
        )
    known = ", ".join([*_SCALARS, "DECIMAL(p,s)", "ARRAY<t>", "MAP<k, v>", "STRUCT<name: t>"])
    raise UnknownType(f"{text} is not a column type here; write one of {known}")


def spell(arrow: pa.DataType) -> str | None:
    """The declaration's spelling of an Arrow type; None for a type that cannot be declared."""
    if pa.types.is_struct(arrow):
        members = {
            arrow.field(position).name: spell(arrow.field(position).type) for position in range(arrow.num_fields)
        }
        written = ", ".join(f"{name}: {member}" for name, member in members.items())
        return None if None in members.values() else f"STRUCT<{written}>"
    if pa.types.is_list(arrow):
        element = spell(arrow.value_type)
        return element and f"ARRAY<{element}>"
    if pa.types.is_map(arrow):
        key, value = spell(arrow.key_type), spell(arrow.item_type)
        return key and value and f"MAP<{key}, {value}>"
    if pa.types.is_decimal(arrow):
        return f"DECIMAL({arrow.precision},{arrow.scale})"
    return next((name for name, (stored, _) in _SCALARS.items() if stored == arrow), None)


def _parse_field(part: str) -> tuple[str, DataType]:
    name, colon, member = part.partition(":")
    if not colon:
        raise UnknownType(f"{part.strip()}: a struct member is written name: TYPE")
    return name.strip(), parse_type(member)


def _split(members: str) -> list[str]:
    """Split at the commas that are not inside brackets."""
    parts, depth, start = [], 0, 0
    for position, char in enumerate(members):
        depth += (char in "<(") - (char in ">)")
        if char == "," and depth == 0:
            parts.append(members[start:position])
            start = position + 1
    return [*parts, members[start:]]
