WITH lines AS (
  SELECT
    to_date(sale.order_ts) AS day,
    coalesce(sale.product_category, 'unknown') AS product_category,
    coalesce(upper(nullif(trim(state.address.country), '')), 'unknown') AS country,
    coalesce(state.loyalty_tier, 'unknown') AS loyalty_tier,
    coalesce(sale.currency, 'unknown') AS currency,
    sale.customer_id,
    sale.order_id,
    sale.quantity,
    sale.gross_amount,
    sale.net_amount,
    sale.reported_gross_amount,
    sale.reported_net_amount
  FROM silver.orders AS sale
  LEFT JOIN silver.customers_history AS state
    ON state.customer_id = sale.customer_id
    AND sale.order_ts >= state.__START_AT
    AND sale.order_ts < coalesce(state.__END_AT, TIMESTAMP '9999-12-31 23:59:59.999999')
)
SELECT
  day,
  product_category,
  country,
  loyalty_tier,
  currency,
  count(DISTINCT customer_id) AS customers_count,
  count(DISTINCT order_id) AS orders_count,
  count(*) AS order_lines_count,
  sum(quantity) AS units_count,
  CAST(round(sum(gross_amount), 2) AS DECIMAL(38,2)) AS gross_amount,
  CAST(round(sum(net_amount), 2) AS DECIMAL(38,2)) AS net_amount,
  CAST(round(coalesce(sum(reported_gross_amount), 0), 2) AS DECIMAL(38,2)) AS reported_gross_amount,
  CAST(round(coalesce(sum(reported_net_amount), 0), 2) AS DECIMAL(38,2)) AS reported_net_amount,
  count_if(reported_net_amount IS NULL) AS lines_without_rate_count
FROM lines
GROUP BY day, product_category, country, loyalty_tier, currency
