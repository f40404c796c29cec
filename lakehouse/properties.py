"""What a declaration says about its Delta table: properties, fields, and which columns may have statistics.

Both engines create tables from these functions, so that either can continue the other's lake.
"""

from __future__ import annotations

import json

import pyarrow as pa

from lakehouse.dataset import Dataset

FENCE_PROPERTY = "c360.fence"
"""Table property that carries the fencing token of the last takeover."""


def file_bytes(dataset: Dataset) -> int:
    """Size to which both engines write and bring files; those below half of it are small. Where merges find their files by days,
    smaller ones: a merge rewrites whole files."""
    return (16 if dataset.day_column is not None else 128) << 20


def table_properties(dataset: Dataset) -> dict[str, str]:
    """Delta table properties of a dataset.

    Statistics are limited to columns that are not personal, so that no minimum or maximum of a person's data stands in the
    log (Delta protocol, ``delta.dataSkippingStatsColumns``). Features that one of the two engines cannot read stay off.
    """
    return {
        "delta.enableChangeDataFeed": "true",
        "delta.dataSkippingStatsColumns": ",".join(dataset.statistics_columns),
        "delta.enableDeletionVectors": "false",
        "delta.checkpointInterval": "10",
        "delta.targetFileSize": str(file_bytes(dataset)),
    }


def delta_schema_json(dataset: Dataset) -> str:
    """The table's schema in Delta's JSON form, with comments. Every column is nullable there: keys are checked at the edge,
    where an error can name the column."""
    fields = [
        {
            "name": column.name,
            "type": _delta_type(column.data_type.arrow),
            "nullable": True,
            "metadata": {"comment": column.comment},
        }
        for column in dataset.columns
    ]
    return json.dumps({"type": "struct", "fields": fields})


def arrow_schema(dataset: Dataset) -> pa.Schema:
    """The declared columns as Arrow."""
    return pa.schema([pa.field(column.name, column.data_type.arrow) for column in dataset.columns])


def _delta_type(arrow: pa.DataType) -> object:
    if pa.types.is_struct(arrow):
        members = [arrow.field(position) for position in range(arrow.num_fields)]
        return {
            "type": "struct",
            "fields": [
                {"name": member.name, "type": _delta_type(member.type), "nullable": True, "metadata": {}}
                for member in members
            ],
        }
    if pa.types.is_list(arrow):
        return {"type": "array", "elementType": _delta_type(arrow.value_type), "containsNull": True}
    if pa.types.is_map(arrow):
        key, value = _delta_type(arrow.key_type), _delta_type(arrow.item_type)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if pa.types.is_decimal(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    return _DELTA_SCALARS[arrow]


_DELTA_SCALARS = {
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
}
