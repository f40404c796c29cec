from lakehouse.dataset import ByKey, Column, Dataset, Subject

_MENTIONED = ("nullif(trim(customer_id), '')",)

dataset = Dataset(
    name="silver.known_customers",
    comment="Every customer that any source has ever mentioned: all who have a profile.",
    columns=(
        Column("customer_id", "STRING", "Customer id, trimmed.", "subject_key", nullable=False),
        Column("sources", "ARRAY<STRING>", "Sources that mention the customer, in alphabetical order."),
    ),
    keys=("customer_id",),
    flow=ByKey(
        keys=("customer_id",),
        inputs={
            "bronze.crm_customers": _MENTIONED,
            "bronze.ecommerce_orders": _MENTIONED,
            "bronze.support_tickets": _MENTIONED,
            "bronze.web_events": _MENTIONED,
        },
    ),
    subject=Subject("customer_id"),
)
