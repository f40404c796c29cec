from lakehouse.dataset import ByKey, Column, Dataset, Serving, Subject
from pipelines.silver.customers import dataset as customers

_SEEN = ("nullif(trim(customer_id), '')",)
_PROFILE = (
    "email",
    "first_name",
    "last_name",
    "phone",
    "date_of_birth",
    "address",
    "loyalty_tier",
    "marketing_consent",
    "created_at",
    "updated_at",
)

dataset = Dataset(
    name="gold.customer_360",
    comment="One profile per customer ever seen in a source: who they are and what they are worth.",
    columns=(
        Column("customer_id", "STRING", "Customer id.", "subject_key", nullable=False),
        *(customers.column(name) for name in _PROFILE),
        Column("orders_count", "BIGINT", "Distinct orders with at least one line that is a sale."),
        Column("order_lines_count", "BIGINT", "Lines that are sales."),
        Column("reporting_currency", "STRING", "Currency of the amounts below; NULL without a converted sale."),
        Column("gross_amount", "DECIMAL(38,2)", "Sales before discount, in the reporting currency."),
        Column("net_amount", "DECIMAL(38,2)", "Sales after discount, in the reporting currency."),
        Column("average_order_value", "DECIMAL(38,2)", "net_amount per order; NULL without orders."),
        Column(
            "lines_without_rate_count",
            "BIGINT",
            "Lines left out of the amounts because no exchange rate held when they were ordered.",
        ),
        Column("orders_30d_count", "BIGINT", "Orders in the 30 days before as_of."),
        Column("net_30d_amount", "DECIMAL(38,2)", "Net sales of those orders."),
        Column("orders_90d_count", "BIGINT", "Orders in the 90 days before as_of."),
        Column("net_90d_amount", "DECIMAL(38,2)", "Net sales of those orders."),
        Column("first_order_at", "TIMESTAMP", "Earliest line that is a sale."),
        Column("last_order_at", "TIMESTAMP", "Latest line that is a sale; recency is derived from it."),
        Column("top_category", "STRING", "Product category with the most net sales, ties alphabetical."),
        Column(
            "spend_by_currency",
            "ARRAY<STRUCT<currency: STRING, orders_count: BIGINT, gross_amount: DECIMAL(38,2), net_amount: DECIMAL(38,2)>>",
            "Sales per original currency, by its code.",
        ),
    ),
    keys=("customer_id",),
    flow=ByKey(
        keys=("customer_id",),
        inputs={
            "bronze.crm_customers": _SEEN,
            "bronze.ecommerce_orders": _SEEN,
            "silver.exchange_rates": (),
            "reference.reporting_currency": (),
        },
    ),
    subject=Subject("customer_id"),
    serving=Serving(key="customer_id", path="customers"),
)
