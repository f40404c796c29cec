from lakehouse.dataset import Column, Dataset, Recorded, Subject

dataset = Dataset(
    name="quality.quarantine",
    comment="Rows held back by an expectation, whole, until a newer version of their key passes.",
    columns=(
        Column("quarantine_id", "STRING", "Digest of dataset, rules and row.", nullable=False),
        Column("dataset", "STRING", "Dataset the row was meant for.", nullable=False),
        Column("rules", "ARRAY<STRING>", "Expectations it failed, in the order of their declaration."),
        Column("batch", "BIGINT", "Batch of the dataset's flow that held it back first.", nullable=False),
        Column("run_id", "STRING", "Run of that batch.", nullable=False),
        Column(
            "key_hash", "STRING", "Digest of the flow's key, by which a repaired row is found again.", nullable=False
        ),
        Column("source", "STRING", "Bronze dataset of the record; NULL where the row is made of several."),
        Column("source_file", "STRING", "File of the record, relative to the landing zone."),
        Column("file_modification_time", "TIMESTAMP", "When that file was last modified."),
        Column("row_number", "BIGINT", "Position of the record in its file."),
        Column("correction", "BIGINT", "Repair that made the record; NULL for the record as the source wrote it."),
        Column("customer_id", "STRING", "Customer the row belongs to, where it names one.", "subject_key"),
        Column("record", "STRING", "The row as JSON.", "pii.raw"),
        Column("quarantined_at", "TIMESTAMP", "When the batch was planned.", nullable=False),
    ),
    keys=("quarantine_id",),
    flow=Recorded(),
    subject=Subject("customer_id"),
)
