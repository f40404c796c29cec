from lakehouse.dataset import Column, Dataset, Recorded, Subject

dataset = Dataset(
    name="quality.repairs",
    comment="Repairs of records in quarantine: what is to be put in place of which values.",
    columns=(
        Column("repair_id", "STRING", "Digest of the record and the correction it will have.", nullable=False),
        Column("quarantine_id", "STRING", "Row of quality.quarantine that was looked at.", nullable=False),
        Column("dataset", "STRING", "Dataset that held the row back.", nullable=False),
        Column("source", "STRING", "Bronze dataset of the record.", nullable=False),
        Column("source_file", "STRING", "File of the record.", nullable=False),
        Column("file_modification_time", "TIMESTAMP", "When that file was last modified.", nullable=False),
        Column("row_number", "BIGINT", "Position of the record in its file.", nullable=False),
        Column("correction", "BIGINT", "Number of the repair among those of the record, from 1.", nullable=False),
        Column("customer_id", "STRING", "Customer the row belongs to, where it names one.", "subject_key"),
        Column("changes", "STRING", "New values by column of the source, as a JSON object of texts.", "pii.raw"),
        Column("requested_by", "STRING", "Who asked for it.", nullable=False),
        Column("requested_at", "TIMESTAMP", "When.", nullable=False),
    ),
    keys=("repair_id",),
    flow=Recorded(),
    subject=Subject("customer_id"),
)
