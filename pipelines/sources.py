"""Columns that every bronze dataset has after those of its source."""

from __future__ import annotations

from lakehouse.dataset import Action, Column, Expectation

INGEST_COLUMNS = (
    Column("_corrupt_record", "STRING", "The whole record where it could not be parsed; NULL otherwise.", "pii.raw"),
    Column(
        "_rescued_data",
        "STRING",
        "JSON object of the fields that fit no column or not their column's type; NULL if all fit.",
        "pii.raw",
    ),
    Column("_ingested_at", "TIMESTAMP", "Instant of the batch that brought the row.", nullable=False),
    Column("_source_file", "STRING", "File it came from, relative to the landing zone.", nullable=False),
    Column("_file_modification_time", "TIMESTAMP", "When that file was last modified.", nullable=False),
    Column("_row_number", "BIGINT", "Position of the record in its file, from 1.", nullable=False),
    Column("_datasource", "STRING", "Source system.", nullable=False),
    Column(
        "_correction",
        "BIGINT",
        "Which repair of the record made the row; NULL for the record as the source wrote it.",
    ),
)

FEED_COLUMNS = (
    Column("_source_change_type", "STRING", "insert, update_preimage, update_postimage or delete.", nullable=False),
    Column("_source_commit_version", "BIGINT", "Version of the source table that made the change.", nullable=False),
    Column("_source_commit_timestamp", "TIMESTAMP", "When that version was committed.", nullable=False),
    Column(
        "_source_generation",
        "BIGINT",
        "Batch whose snapshot the versions count from: it grows when the feed begins anew.",
        nullable=False,
    ),
)
"""Columns of a change feed, before INGEST_COLUMNS."""

INGEST_EXPECTATIONS = (
    Expectation("record_parses", "_corrupt_record IS NULL", Action.WARN),
    Expectation("every_field_fits", "_rescued_data IS NULL", Action.WARN),
)
"""Counted, never dropped: bronze keeps everything."""
