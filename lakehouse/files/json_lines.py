"""NDJSON in chunks: lines go through a decoder compiled from the declaration, those it refuses through `json_record`.

The decoder takes an object of declared members whose JSON types fit; a second one also takes plain values of members that are
not declared, as a source sends them that has grown a field. Both would let a member that is named twice pass, so colons are
counted: a member costs one, all others stand in values.
"""

from __future__ import annotations

from itertools import repeat
from operator import attrgetter, is_
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, UnsetType

from lakehouse.files.json_record import read_line
from lakehouse.files.rows import SourceColumns, replace_rows, rescued_text
from lakehouse.files.typed import read_column
from lakehouse.schema import DataType

_TEXT_TYPES = ("STRING", "DATE", "TIMESTAMP")


class JsonLines:
    """Reads one NDJSON file, fed chunk by chunk."""

    def __init__(self, columns: SourceColumns) -> None:
        self._columns = columns
        self._shape = _struct(columns.names, columns.types)
        self._decode = msgspec.json.Decoder(self._shape).decode
        self._decode_declared = msgspec.json.Decoder(_lenient(self._shape)).decode
        self._lines = 0

    def read(self, buffer: bytes, *, final: bool) -> tuple[int, list[pa.Table]]:
        """Rows of the lines that end in the buffer, and how many bytes they took. ``final``: nothing comes after it."""
        end = len(buffer) if final else buffer.rfind(b"\n") + 1
        if not end:
            return 0, []
        lines = buffer[:end].split(b"\n")
        if not lines[-1]:
            lines.pop()
        first, self._lines = self._lines + 1, self._lines + len(lines)
        numbers = np.arange(first, first + len(lines))
        blank = [] if all(line.startswith(b"{") for line in lines) else [not line.strip(b" \t\r") for line in lines]
        if any(blank):
            numbers = numbers[~np.array(blank)]
            lines = [line for line, is_blank in zip(lines, blank, strict=True) if not is_blank]
        return end, [self._read_lines(lines, numbers)] if lines else []

    def read_corrupt(self, line: bytes, *, continued: bool) -> pa.Table:
        """The row of a line (or a piece of one) that is not to be parsed."""
        self._lines += not continued
        return self._columns.table([self._columns.corrupt_row(line)], [self._lines])

    def _read_lines(self, lines: list[bytes], numbers: npt.NDArray[np.int64]) -> pa.Table:
        objects, refused, undeclared = self._decode_all(lines)
        troubled = np.zeros(len(lines), dtype=np.bool_)
        troubled[refused] = True
        members = _Members(len(lines))
        columns = members.read(objects, self._columns.types)
        rescued: list[str | None] = [None] * len(lines)
        for position, found in undeclared.items():
            rescued[position] = found.text
            members.colons[position] += found.colons
        troubled |= members.unsettled
        texts = pa.array(lines, pa.binary())
        troubled |= pc.count_substring(texts, ":").to_numpy() != members.colons
        if b"\\u003" in b"\n".join(lines):  # an escaped colon would make the count fit by chance
            troubled |= pc.match_substring(texts, "\\u003").to_numpy(zero_copy_only=False)
        table = pa.Table.from_arrays(
            [*columns, pa.nulls(len(lines), pa.string()), pa.array(rescued, pa.string()), pa.array(numbers)],
            schema=self._columns.schema,
        )
        positions = np.flatnonzero(troubled)
        rows = [read_line(_without_return(lines[position]), self._columns) for position in positions]
        return replace_rows(table, positions, self._columns.table(rows, numbers[positions]))

    def _decode_all(self, lines: list[bytes]) -> tuple[list[Any], list[int], dict[int, _Undeclared]]:
        objects: list[Any] = []
        refused: list[int] = []
        undeclared: dict[int, _Undeclared] = {}
        decode, empty = self._decode, self._shape(*[None] * len(self._columns.names))
        for line in lines:
            try:
                objects.append(decode(line))
            except _REFUSALS:
                if (found := self._decode_undeclared(line)) is None:
                    refused.append(len(objects))
                    objects.append(empty)
                else:
                    undeclared[len(objects)] = found
                    objects.append(found.declared)
        return objects, refused, undeclared

    def _decode_undeclared(self, line: bytes) -> _Undeclared | None:
        """A line with members that are not declared, if their names and values are plain: as they stand, they are rescued."""
        if b"\\" in line:
            return None
        try:
            declared, members = self._decode_declared(line), _decode_members(line)
            others = {name: bytes(members[name]).decode() for name in members.keys() - set(self._columns.names)}
        except _REFUSALS:
            return None
        if any(value[0] in "{[" for value in others.values()):
            return None
        colons = sum(1 + name.count(":") + value.count(":") for name, value in others.items())
        kept = {f'"{name}"': others[name] for name in members if others.get(name, "null") != "null"}
        return _Undeclared(declared, rescued_text(kept), colons)


class _Undeclared(NamedTuple):
    """A line with more members than are declared: the object of those that are, the others' text, and their colons."""

    declared: Any
    text: str | None
    colons: int


class _Members:
    """Decoded objects as typed columns; counts the colons their lines must have, and marks rows that are unsettled."""

    def __init__(self, count: int) -> None:
        self.colons = np.zeros(count, dtype=np.int64)
        self.unsettled = np.zeros(count, dtype=np.bool_)

    def read(self, objects: list[Any], types: tuple[DataType, ...]) -> list[pa.Array]:
        return [
            self._read_member(list(map(attrgetter(_field(position)), objects)), data_type)
            for position, data_type in enumerate(types)
        ]

    def _read_member(self, values: list[Any], data_type: DataType) -> pa.Array:
        absent = _which_are(values, UNSET)
        self.colons += ~absent
        if absent.any():
            values = _without(values, absent, None)
        if data_type.fields:
            return self._read_struct(values, data_type)
        if data_type.sql == "BOOLEAN":
            return pa.array(values, pa.bool_())
        if data_type.sql not in _TEXT_TYPES:
            values = [
                None if value is None or value == _NULL else bytes(value).decode(errors="replace") for value in values
            ]
        texts = pa.array(values, pa.string())
        self.colons += pc.count_substring(texts, ":").fill_null(0).to_numpy()
        if data_type.element:
            self.unsettled |= texts.is_valid().to_numpy(zero_copy_only=False)
            return pa.nulls(len(values), data_type.arrow)
        typed, unsettled = read_column(texts, data_type)
        self.unsettled |= unsettled
        return typed

    def _read_struct(self, values: list[Any], data_type: DataType) -> pa.Array:
        names, types = _split(data_type)
        absent = _which_are(values, None)
        if absent.any():
            values = _without(values, absent, _struct(names, types)())
        return pa.StructArray.from_arrays(self.read(values, types), fields=list(data_type.arrow), mask=pa.array(absent))


def _which_are(values: list[Any], singleton: object) -> npt.NDArray[np.bool_]:
    return np.fromiter(map(is_, values, repeat(singleton)), np.bool_, len(values))


def _without(values: list[Any], absent: npt.NDArray[np.bool_], instead: object) -> list[Any]:
    replaced = np.empty(len(values), dtype=object)
    replaced[:] = values
    replaced[absent] = instead
    found: list[Any] = replaced.tolist()
    return found


_NULL = msgspec.Raw(b"null")
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_structs: dict[tuple[tuple[str, ...], tuple[DataType, ...]], type[msgspec.Struct]] = {}


def _split(data_type: DataType) -> tuple[tuple[str, ...], tuple[DataType, ...]]:
    return tuple(name for name, _ in data_type.fields), tuple(member for _, member in data_type.fields)


def _struct(names: tuple[str, ...], types: tuple[DataType, ...]) -> type[msgspec.Struct]:
    """A decoder's shape: exactly these members, none required."""
    if (names, types) not in _structs:
        safe = [_field(position) for position in range(len(names))]
        _structs[names, types] = msgspec.defstruct(
            "Line",
            [(field, _json_type(data_type), UNSET) for field, data_type in zip(safe, types, strict=True)],
            rename=dict(zip(safe, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
    return _structs[names, types]


def _lenient(shape: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The shape with any further members."""
    return msgspec.defstruct("Line", [], bases=(shape,), forbid_unknown_fields=False, gc=False)


def _field(position: int) -> str:
    return f"member_{position}"


def _json_type(data_type: DataType) -> Any:
    if data_type.fields:
        return _struct(*_split(data_type)) | None | UnsetType
    if data_type.sql == "BOOLEAN":
        return bool | None | UnsetType
    if data_type.sql in _TEXT_TYPES:
        return str | None | UnsetType
    return msgspec.Raw


def _without_return(line: bytes) -> bytes:
    return line.removesuffix(b"\r")
