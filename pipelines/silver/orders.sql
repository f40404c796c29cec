-- Newest version per line first, then the expectations: a newer version that fails takes the older row with it.
-- A line that cannot be identified is a version of itself only, so that each one is seen and counted.
WITH versions AS (
  SELECT
    *,
    nullif(trim(order_id), '') AS clean_order_id,
    row_number() OVER (
      PARTITION BY
        nullif(trim(order_id), ''),
        line_number,
        CASE WHEN nullif(trim(order_id), '') IS NULL OR line_number IS NULL THEN _source_file END,
        CASE WHEN nullif(trim(order_id), '') IS NULL OR line_number IS NULL THEN _row_number END
      ORDER BY _file_modification_time DESC, _source_file DESC, _row_number DESC, _correction DESC
    ) AS age
  FROM bronze.ecommerce_orders
),
cleaned AS (
  SELECT
    clean_order_id AS order_id,
    line_number,
    nullif(trim(customer_id), '') AS customer_id,
    order_ts,
    nullif(trim(product_id), '') AS product_id,
    nullif(trim(product_name), '') AS product_name,
    nullif(trim(product_category), '') AS product_category,
    quantity,
    unit_price,
    coalesce(discount_pct, CAST(0 AS DECIMAL(9,6))) AS discount_pct,
    upper(nullif(trim(currency), '')) AS currency,
    lower(nullif(trim(payment_method), '')) AS payment_method,
    CASE lower(trim(status))
      WHEN 'completed' THEN 'completed'
      WHEN 'paid' THEN 'paid'
      WHEN 'shipped' THEN 'shipped'
      WHEN 'delivered' THEN 'delivered'
      WHEN 'cancelled' THEN 'cancelled'
      WHEN 'canceled' THEN 'cancelled'
      WHEN 'void' THEN 'cancelled'
      WHEN 'refunded' THEN 'refunded'
      WHEN 'returned' THEN 'returned'
      WHEN 'pending' THEN 'pending'
    END AS status,
    _source_file,
    _file_modification_time,
    _row_number,
    _correction
  FROM versions
  WHERE age = 1
),
priced AS (
  SELECT *, CAST(quantity * unit_price AS DECIMAL(38,6)) AS gross_amount
  FROM cleaned
),
discounted AS (
  SELECT
    *,
    -- The factors are narrowed so that the exact product has at most 38 digits; an absurd amount becomes NULL and is quarantined.
    CAST(
      try_cast(gross_amount AS DECIMAL(24,6)) * CAST(100 - discount_pct AS DECIMAL(10,6)) * CAST(0.01 AS DECIMAL(2,2))
      AS DECIMAL(38,6)
    ) AS net_amount
  FROM priced
)
SELECT
  line.order_id,
  line.line_number,
  line.customer_id,
  line.order_ts,
  line.product_id,
  line.product_name,
  line.product_category,
  line.quantity,
  line.unit_price,
  line.discount_pct,
  line.currency,
  line.payment_method,
  line.status,
  line.gross_amount,
  line.net_amount,
  CAST(try_cast(line.gross_amount AS DECIMAL(20,6)) * rates.rate AS DECIMAL(38,6)) AS reported_gross_amount,
  CAST(try_cast(line.net_amount AS DECIMAL(20,6)) * rates.rate AS DECIMAL(38,6)) AS reported_net_amount,
  line._source_file,
  line._file_modification_time,
  line._row_number,
  line._correction
FROM discounted AS line
LEFT JOIN silver.exchange_rates AS rates
  ON rates.currency = line.currency
  AND line.order_ts >= rates.valid_from
  AND line.order_ts < coalesce(rates.valid_until, TIMESTAMP '9999-12-31 23:59:59.999999')
