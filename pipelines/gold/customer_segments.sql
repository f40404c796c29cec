WITH purchases AS (
  SELECT
    customer_id,
    max(order_ts) AS last_order_at,
    count(DISTINCT order_id) AS orders_count,
    coalesce(sum(reported_net_amount), 0) AS net_amount
  FROM silver.orders
  GROUP BY customer_id
),
-- Days are counted from midnight to midnight, so the order of the recencies is the same at every as_of: that of the first
-- midnights at or after the last orders.
placed AS (
  SELECT
    *,
    to_date(timestamp_micros(unix_micros(last_order_at) + 86399999999)) AS last_day
  FROM purchases
),
scored AS (
  SELECT
    *,
    ntile(5) OVER (ORDER BY last_day, customer_id) AS recency_score,
    ntile(5) OVER (ORDER BY orders_count, customer_id) AS frequency_score,
    ntile(5) OVER (ORDER BY net_amount, customer_id) AS monetary_score
  FROM placed
)
SELECT
  known.customer_id,
  scored.last_order_at,
  coalesce(scored.orders_count, 0) AS orders_count,
  CAST(round(coalesce(scored.net_amount, 0), 2) AS DECIMAL(38,2)) AS net_amount,
  scored.recency_score,
  scored.frequency_score,
  scored.monetary_score,
  CASE
    WHEN scored.customer_id IS NULL THEN 'no_purchase'
    WHEN scored.recency_score >= 4 AND scored.frequency_score >= 4 AND scored.monetary_score >= 4 THEN 'champions'
    WHEN scored.recency_score <= 2 AND scored.frequency_score >= 4 THEN 'cant_lose_them'
    WHEN scored.recency_score >= 3 AND scored.frequency_score >= 3 AND scored.monetary_score >= 3 THEN 'loyal'
    WHEN scored.recency_score <= 2 AND scored.frequency_score >= 3 AND scored.monetary_score >= 3 THEN 'at_risk'
    WHEN scored.recency_score >= 4 AND scored.frequency_score <= 2 THEN 'new'
    WHEN scored.recency_score >= 3 AND scored.frequency_score >= 3 AND scored.monetary_score <= 2 THEN 'promising'
    WHEN scored.recency_score <= 2 AND scored.frequency_score <= 2 THEN 'lost'
    ELSE 'needs_attention'
  END AS segment
FROM silver.known_customers AS known
LEFT JOIN scored ON scored.customer_id = known.customer_id
