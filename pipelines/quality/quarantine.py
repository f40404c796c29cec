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
        Column("customer_id", "STRING", "Customer the row belongs to, where it names one.", "subject_key"),
        Column("record", "STRING", "The row as JSON.", "pii.raw"),
        Column("quarantined_at", "TIMESTAMP", "When the batch was planned.", nullable=False),
    ),
    keys=("quarantine_id",),
    flow=Recorded(),
    subject=Subject("customer_id"),
)
