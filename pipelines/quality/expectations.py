from lakehouse.dataset import Column, Dataset, NoSubject, Recorded

dataset = Dataset(
    name="quality.expectations",
    comment="How many records passed and failed each expectation, by batch (Lakeflow's expectation metrics).",
    columns=(
        Column("run_id", "STRING", "Run that computed the batch.", nullable=False),
        Column("dataset", "STRING", "Dataset the expectation belongs to.", nullable=False),
        Column("batch", "BIGINT", "Batch of the dataset's flow.", nullable=False),
        Column("name", "STRING", "Name of the expectation.", nullable=False),
        Column("action", "STRING", "warn, drop, quarantine or fail.", nullable=False),
        Column("passed_records", "BIGINT", "Records for which the condition was true.", nullable=False),
        Column("failed_records", "BIGINT", "Records for which it was false or NULL.", nullable=False),
        Column("recorded_at", "TIMESTAMP", "When the batch was planned.", nullable=False),
    ),
    flow=Recorded(),
    subject=NoSubject("Counts over a batch; no row is about a person."),
)
