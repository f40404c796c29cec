from lakehouse.dataset import Action, ByKey, Column, Dataset, Expectation, Subject

dataset = Dataset(
    name="gold.churn_features",
    comment=(
        "What was known of a customer before an instant, for every customer who had bought before it: at the run's as_of, to "
        "score with, and at the first of each of twelve months up to it, to train with."
    ),
    columns=(
        Column("customer_id", "STRING", "Customer id.", "subject_key", nullable=False),
        Column("as_of", "DATE", "Date at whose start (00:00Z) the features end.", nullable=False),
        Column("loyalty_tier", "STRING", "Loyalty tier at that instant."),
        Column("marketing_consent", "BOOLEAN", "Whether the customer had agreed to marketing by then."),
        Column("tenure_days", "INT", "Whole days since the first sale."),
        Column("recency_days", "INT", "Whole days since the latest line that was a sale."),
        Column("orders_count", "BIGINT", "Distinct orders."),
        Column("net_amount", "DECIMAL(38,2)", "Sales after discount, in the reporting currency."),
        Column("average_order_value", "DECIMAL(38,2)", "net_amount per order."),
        Column("categories_count", "BIGINT", "Distinct product categories."),
        Column("orders_30d_count", "BIGINT", "Orders in the 30 days before."),
        Column("net_30d_amount", "DECIMAL(38,2)", "Net sales of those orders."),
        Column("orders_90d_count", "BIGINT", "Orders in the 90 days before."),
        Column("net_90d_amount", "DECIMAL(38,2)", "Net sales of those orders."),
        Column("sessions_count", "BIGINT", "Visits to the web shop that had ended, while signed in."),
        Column("sessions_30d_count", "BIGINT", "Those that began in the 30 days before."),
        Column("sessions_90d_count", "BIGINT", "Those that began in the 90 days before."),
        Column("unseen_days", "INT", "Whole days since the end of the latest of them; NULL without one."),
        Column("conversion_rate", "DECIMAL(5,4)", "Share of them with a purchase, 0 to 1; NULL without one."),
        Column("tickets_90d_count", "BIGINT", "Support tickets opened in the 90 days before."),
        Column("open_tickets_count", "BIGINT", "Tickets opened before and not resolved by then."),
        Column(
            "average_satisfaction",
            "DECIMAL(4,2)",
            "Mean answer to tickets that were last written before; NULL without one.",
        ),
    ),
    keys=("customer_id", "as_of"),
    flow=ByKey(keys=("customer_id",)),
    subject=Subject("customer_id"),
    expectations=(Expectation("only_before_as_of", "recency_days BETWEEN 0 AND tenure_days", Action.FAIL),),
    cluster_by=("as_of",),
)
