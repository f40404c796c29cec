from lakehouse.dataset import ByKey, Column, Dataset, Expectation, NoSubject, Reached

_DAYS_OF_STATE = """
SELECT to_date(sale.order_ts) AS day
FROM silver.orders AS sale
JOIN (
  -- A state that only ends at another instant says what it said before up to the sooner of its ends. One that is new or gone
  -- says something else from its start.
  SELECT
    customer_id,
    CASE WHEN bool_or(kind IN ('insert', 'delete')) OR count(*) = 1 THEN started_at ELSE min(ended_at) END AS since,
    max(ended_at) AS until
  FROM (
    SELECT
      changed.customer_id,
      changed.__START_AT AS started_at,
      coalesce(changed.__END_AT, TIMESTAMP '9999-12-31 23:59:59.999999') AS ended_at,
      changed.address AS address,
      changed.loyalty_tier,
      changed._change_type AS kind
    FROM changed
  ) AS images
  GROUP BY customer_id, started_at, address.country, loyalty_tier
) AS states ON states.customer_id = sale.customer_id AND sale.order_ts >= states.since AND sale.order_ts < states.until
"""

dataset = Dataset(
    name="gold.revenue_daily",
    comment="Sales by day, category, country, loyalty tier and currency.",
    columns=(
        Column("day", "DATE", "Day of the order lines, in UTC.", nullable=False),
        Column("product_category", "STRING", "Product category, or unknown.", nullable=False),
        Column(
            "country", "STRING", "Country the customer had in the CRM when they ordered, or unknown.", nullable=False
        ),
        Column(
            "loyalty_tier", "STRING", "Loyalty tier the customer had when they ordered, or unknown.", nullable=False
        ),
        Column("currency", "STRING", "Currency of the lines, or unknown.", nullable=False),
        Column("customers_count", "BIGINT", "Customers who bought."),
        Column("orders_count", "BIGINT", "Orders with a line here; an order of two categories counts in both."),
        Column("order_lines_count", "BIGINT", "Lines that are sales."),
        Column("units_count", "BIGINT", "Units sold."),
        Column("gross_amount", "DECIMAL(38,2)", "Sales before discount, in the lines' currency."),
        Column("net_amount", "DECIMAL(38,2)", "Sales after discount, in the lines' currency."),
        Column(
            "reported_gross_amount",
            "DECIMAL(38,2)",
            "Sales before discount, in the reporting currency, without the lines that have no rate.",
        ),
        Column("reported_net_amount", "DECIMAL(38,2)", "Sales after discount, in the reporting currency, likewise."),
        Column("lines_without_rate_count", "BIGINT", "Lines for which no exchange rate held when they were ordered."),
    ),
    keys=("day", "product_category", "country", "loyalty_tier", "currency"),
    flow=ByKey(
        keys=("day",),
        inputs={"silver.orders": ("to_date(order_ts)",), "silver.customers_history": Reached(_DAYS_OF_STATE)},
    ),
    subject=NoSubject("Sums over the customers of a day; no row names one."),
    expectations=(Expectation("net_within_gross", "net_amount <= gross_amount"),),
    cluster_by=("day",),
)
