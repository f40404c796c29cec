from governance.lineage import COLUMN_COLUMNS
from lakehouse.dataset import Column, Dataset, Exported, NoSubject
from pipelines.system.access.table_lineage import COMMENTS

_COMMENTS = {
    **COMMENTS,
    "source_column_name": "Column that was read.",
    "target_column_name": "Column it reaches; NULL where it decides which rows there are.",
    "transformation_type": "DIRECT where values of the column can be in the other; INDIRECT where it decides (OpenLineage).",
    "transformation_subtype": (
        "IDENTITY, TRANSFORMATION or AGGREGATION; CONDITIONAL, WINDOW, FILTER, JOIN, GROUP_BY or SORT (OpenLineage)."
    ),
}

dataset = Dataset(
    name="system.access.column_lineage",
    comment="Which column came from which, by every batch that wrote, as Databricks' table of that name, with how.",
    columns=tuple(Column(name, kind, _COMMENTS[name]) for name, kind in COLUMN_COLUMNS.items()),
    flow=Exported("column_lineage"),
    subject=NoSubject("Names of columns; no person."),
    cluster_by=("event_time",),
    retention_days=395,
)
