from governance.lineage import TABLE_COLUMNS
from lakehouse.dataset import Column, Dataset, Exported, NoSubject

COMMENTS = {
    "account_id": "Databricks account; NULL here.",
    "metastore_id": "Unity Catalog metastore; NULL here.",
    "workspace_id": "Databricks workspace; NULL here.",
    "entity_type": "PIPELINE always.",
    "entity_id": "NULL: entity_run_id names the run, which names its pipeline.",
    "entity_run_id": "Run that committed.",
    "source_table_full_name": "Table that was read; NULL where files were.",
    "source_table_catalog": "NULL: tables here have two-part names.",
    "source_table_schema": "Layer of the table that was read.",
    "source_table_name": "Name of it within its layer.",
    "source_path": "Files that were read, as a pattern within the landing zone.",
    "source_type": "TABLE or PATH.",
    "target_table_full_name": "Table that was written.",
    "target_table_catalog": "NULL, as of the source.",
    "target_table_schema": "Layer of the table that was written.",
    "target_table_name": "Name of it within its layer.",
    "target_path": "NULL: what is written is a table.",
    "target_type": "TABLE always.",
    "created_by": "NULL: the run knows who asked for it.",
    "event_time": "When the batch was known to be in the table.",
    "event_date": "Day of it, in UTC.",
    "record_id": "Digest of what the row says.",
    "event_id": "Flow and batch that committed.",
    "statement_id": "NULL: a batch is several statements.",
    "entity_metadata": "NULL: ids of Databricks' own.",
    "direct_access": "TRUE: tables are read themselves, not through views.",
}

dataset = Dataset(
    name="system.access.table_lineage",
    comment="Which table was written from which, by every batch that wrote, as Databricks' table of that name.",
    columns=tuple(Column(name, kind, COMMENTS[name]) for name, kind in TABLE_COLUMNS.items()),
    flow=Exported("table_lineage"),
    subject=NoSubject("Names of tables; no person."),
    cluster_by=("event_time",),
    retention_days=395,
)
