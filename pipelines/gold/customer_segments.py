from lakehouse.dataset import Action, Column, Dataset, Expectation, Full, Subject

dataset = Dataset(
    name="gold.customer_segments",
    comment="Every known customer's RFM scores and segment: how recently, how often and for how much they bought.",
    columns=(
        Column("customer_id", "STRING", "Customer id.", "subject_key", nullable=False),
        Column("last_order_at", "TIMESTAMP", "Latest line that is a sale; NULL without one."),
        Column("orders_count", "BIGINT", "Distinct orders with at least one line that is a sale."),
        Column("net_amount", "DECIMAL(38,2)", "Sales after discount, in the reporting currency."),
        Column("recency_score", "INT", "Fifth of the customers by whole days since the last sale, 5 the most recent."),
        Column("frequency_score", "INT", "Fifth by number of orders, 5 the most."),
        Column("monetary_score", "INT", "Fifth by net sales, 5 the most."),
        Column(
            "segment",
            "STRING",
            "champions, cant_lose_them, loyal, at_risk, new, promising, lost, needs_attention, or no_purchase without a sale.",
        ),
    ),
    keys=("customer_id",),
    flow=Full(),
    subject=Subject("customer_id"),
    expectations=(Expectation("scored_if_bought", "(segment = 'no_purchase') = (recency_score IS NULL)", Action.FAIL),),
)
