from lakehouse.dataset import AutoLoader, Column, Dataset, Subject
from pipelines.sources import INGEST_COLUMNS, INGEST_EXPECTATIONS

dataset = Dataset(
    name="bronze.ecommerce_orders",
    comment="Order lines as the shop exported them: every version, append-only.",
    columns=(
        Column("order_id", "STRING", "Order id as written."),
        Column("line_number", "INT", "Number of the line within its order."),
        Column("customer_id", "STRING", "Customer id as the source wrote it.", "subject_key"),
        Column("order_ts", "TIMESTAMP", "When the line was ordered."),
        Column("product_id", "STRING", "Product id."),
        Column("product_name", "STRING", "Product name."),
        Column("product_category", "STRING", "Product category."),
        Column("quantity", "INT", "Units ordered; negative for returns in some shops."),
        Column("unit_price", "DECIMAL(18,6)", "Price of one unit in the order's currency."),
        Column("discount_pct", "DECIMAL(9,6)", "Discount in per cent, 0 to 100; NULL means none."),
        Column("currency", "STRING", "ISO 4217 code as written."),
        Column("payment_method", "STRING", "How it was paid."),
        Column("status", "STRING", "State of the line as written."),
        *INGEST_COLUMNS,
    ),
    flow=AutoLoader(path="ecommerce/orders/*.csv", format="csv", datasource="shop"),
    subject=Subject("customer_id"),
    expectations=INGEST_EXPECTATIONS,
)
