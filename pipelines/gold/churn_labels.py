from lakehouse.dataset import ByKey, Column, Dataset, Subject

dataset = Dataset(
    name="gold.churn_labels",
    comment="Whether a customer left: no sale in the 90 days from a snapshot of gold.churn_features. Never a feature.",
    columns=(
        Column("customer_id", "STRING", "Customer id.", "subject_key", nullable=False),
        Column("as_of", "DATE", "Date of the snapshot, from whose start (00:00Z) the 90 days run.", nullable=False),
        Column("churned", "BOOLEAN", "Whether there was no sale; NULL until the 90 days have passed."),
    ),
    keys=("customer_id", "as_of"),
    flow=ByKey(keys=("customer_id",)),
    subject=Subject("customer_id"),
    cluster_by=("as_of",),
)
