from lakehouse.dataset import ByKey, Column, Dataset, Serving, Subject
from pipelines.silver.customers import dataset as customers

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
    comment="One profile per customer ever seen in a source: who they are, what they buy, how they visit, what they ask for.",
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
        Column("sessions_count", "BIGINT", "Visits to the web shop while signed in."),
        Column("last_seen_at", "TIMESTAMP", "Latest event of them."),
        Column("sessions_30d_count", "BIGINT", "Visits that began in the 30 days before as_of."),
        Column("sessions_90d_count", "BIGINT", "Visits that began in the 90 days before as_of."),
        Column(
            "conversion_rate",
            "DECIMAL(5,4)",
            "Share of visits with a purchase, 0 to 1; NULL without visits.",
        ),
        Column("tickets_count", "BIGINT", "Support tickets ever opened."),
        Column("open_tickets_count", "BIGINT", "Those that are neither resolved nor closed."),
        Column("open_critical_tickets_count", "BIGINT", "Those of them with priority critical."),
        Column("last_ticket_at", "TIMESTAMP", "When the latest one was opened."),
        Column(
            "average_satisfaction",
            "DECIMAL(4,2)",
            "Mean of what the customer answered to tickets, 1 (bad) to 5 (good); NULL without an answer.",
        ),
        Column("segment", "STRING", "Segment by recency, frequency and amount of purchases (gold.customer_segments)."),
        Column(
            "health",
            "STRING",
            "no_purchase without a sale; at_risk without an order in 90 days or with an open critical ticket; healthy with an "
            "order in 30 days and no open ticket; else neutral.",
        ),
    ),
    keys=("customer_id",),
    flow=ByKey(keys=("customer_id",), inputs={"reference.reporting_currency": ()}),
    subject=Subject("customer_id"),
    serving=Serving(key="customer_id", path="customers"),
)
