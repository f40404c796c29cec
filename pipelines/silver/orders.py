from lakehouse.dataset import Action, ByKey, Column, Dataset, Expectation, Reached, Subject

_LINES_PRICED_SINCE = """
SELECT nullif(trim(line.order_id), '') AS order_id, line.line_number
FROM bronze.ecommerce_orders AS line
JOIN changed ON changed.currency = upper(nullif(trim(line.currency), '')) AND line.order_ts >= changed.valid_from
"""

dataset = Dataset(
    name="silver.orders",
    comment="Order lines that are sales: the newest version of each line, cleaned and priced.",
    columns=(
        Column("order_id", "STRING", "Order id, trimmed.", nullable=False),
        Column("line_number", "INT", "Number of the line within its order.", nullable=False),
        Column("customer_id", "STRING", "Customer id, trimmed.", "subject_key", nullable=False),
        Column("order_ts", "TIMESTAMP", "When the line was ordered.", nullable=False),
        Column("product_id", "STRING", "Product id."),
        Column("product_name", "STRING", "Product name."),
        Column("product_category", "STRING", "Product category."),
        Column("quantity", "INT", "Units ordered, more than 0.", nullable=False),
        Column("unit_price", "DECIMAL(18,6)", "Price of one unit, more than 0.", nullable=False),
        Column("discount_pct", "DECIMAL(9,6)", "Discount in per cent, 0 to 100.", nullable=False),
        Column("currency", "STRING", "ISO 4217 code."),
        Column("payment_method", "STRING", "How it was paid, in lower case."),
        Column("status", "STRING", "completed, paid, shipped or delivered."),
        Column("gross_amount", "DECIMAL(38,6)", "quantity × unit_price, in the line's currency."),
        Column("net_amount", "DECIMAL(38,6)", "gross_amount less the discount, rounded half-up to 6 places."),
        Column(
            "reported_gross_amount",
            "DECIMAL(38,6)",
            "gross_amount in the reporting currency; NULL where no exchange rate held when it was ordered.",
        ),
        Column("reported_net_amount", "DECIMAL(38,6)", "net_amount in the reporting currency; NULL likewise."),
    ),
    keys=("order_id", "line_number"),
    cluster_by=("order_ts",),
    flow=ByKey(
        keys=("order_id", "line_number"),
        inputs={
            "bronze.ecommerce_orders": ("nullif(trim(order_id), '')", "line_number"),
            "silver.exchange_rates": Reached(_LINES_PRICED_SINCE),
        },
    ),
    subject=Subject("customer_id"),
    expectations=(
        Expectation("line_identified", "order_id IS NOT NULL AND line_number IS NOT NULL", Action.QUARANTINE),
        Expectation("status_known", "status IS NOT NULL", Action.QUARANTINE),
        Expectation("order_ts_present", "order_ts IS NOT NULL", Action.QUARANTINE),
        Expectation("discount_in_range", "discount_pct BETWEEN 0 AND 100", Action.QUARANTINE),
        Expectation("amounts_computable", "net_amount IS NOT NULL", Action.QUARANTINE),
        Expectation("customer_present", "customer_id IS NOT NULL", Action.DROP),
        Expectation("quantity_positive", "quantity > 0", Action.DROP),
        Expectation("unit_price_positive", "unit_price > 0", Action.DROP),
        Expectation("is_sale", "status IN ('completed', 'paid', 'shipped', 'delivered')", Action.DROP),
    ),
)
