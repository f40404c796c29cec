from lakehouse.dataset import ByKey, Column, Dataset, Subject
from pipelines.silver.customers_history import dataset as history

dataset = Dataset(
    name="silver.customers",
    comment="The current state of every customer the CRM knows.",
    columns=tuple(column for column in history.columns if not column.name.startswith("__"))
    + (Column("valid_from", "TIMESTAMP", "From when the current state has held."),),
    keys=("customer_id",),
    flow=ByKey(keys=("customer_id",)),
    subject=Subject("customer_id"),
)
