"""Silver to gold, as of a date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from bench.peers.lake import write

# Quotients of decimals, half-up at `scale` places: DuckDB's own division is one of DOUBLE.
_MACROS = """
CREATE MACRO quotient(above, below) AS
  CAST((2 * CAST(above * 1000000 AS HUGEINT) + below) // (2 * below) AS DECIMAL(38,0)) * 0.000001;
CREATE MACRO money(amount) AS CAST(round(amount, 2) AS DECIMAL(38,2));
"""

_SEGMENTS = """
WITH purchases AS (
  SELECT customer_id, max(order_ts) AS last_order_at, count(DISTINCT order_id) AS orders_count,
    coalesce(sum(reported_net_amount), 0) AS net_amount
  FROM silver.orders GROUP BY customer_id
),
scored AS (
  SELECT *,
    ntile(5) OVER (ORDER BY (epoch_us(last_order_at) + 86399999999) // 86400000000, customer_id) AS recency_score,
    ntile(5) OVER (ORDER BY orders_count, customer_id) AS frequency_score,
    ntile(5) OVER (ORDER BY net_amount, customer_id) AS monetary_score
  FROM purchases
)
SELECT customer_id, last_order_at, coalesce(orders_count, 0) AS orders_count, money(coalesce(net_amount, 0)) AS net_amount,
  CAST(recency_score AS INT) AS recency_score, CAST(frequency_score AS INT) AS frequency_score,
  CAST(monetary_score AS INT) AS monetary_score,
  CASE
    WHEN recency_score IS NULL THEN 'no_purchase'
    WHEN least(recency_score, frequency_score, monetary_score) >= 4 THEN 'champions'
    WHEN recency_score <= 2 AND frequency_score >= 4 THEN 'cant_lose_them'
    WHEN least(recency_score, frequency_score, monetary_score) >= 3 THEN 'loyal'
    WHEN recency_score <= 2 AND frequency_score >= 3 AND monetary_score >= 3 THEN 'at_risk'
    WHEN recency_score >= 4 AND frequency_score <= 2 THEN 'new'
    WHEN recency_score >= 3 AND frequency_score >= 3 THEN 'promising'
    WHEN recency_score <= 2 AND frequency_score <= 2 THEN 'lost'
    ELSE 'needs_attention'
  END AS segment
FROM silver.known_customers LEFT JOIN scored USING (customer_id)
"""

_REVENUE = """
SELECT CAST(order_ts AS DATE) AS day, coalesce(product_category, 'unknown') AS product_category,
  coalesce(upper(nullif(trim(state.address.country, ' '), '')), 'unknown') AS country,
  coalesce(state.loyalty_tier, 'unknown') AS loyalty_tier, coalesce(currency, 'unknown') AS currency,
  count(DISTINCT sale.customer_id) AS customers_count, count(DISTINCT order_id) AS orders_count, count(*) AS order_lines_count,
  CAST(sum(quantity) AS BIGINT) AS units_count, money(sum(gross_amount)) AS gross_amount, money(sum(net_amount)) AS net_amount,
  money(coalesce(sum(reported_gross_amount), 0)) AS reported_gross_amount,
  money(coalesce(sum(reported_net_amount), 0)) AS reported_net_amount,
  count(*) FILTER (reported_net_amount IS NULL) AS lines_without_rate_count
FROM silver.orders AS sale
LEFT JOIN silver.customers_history AS state
  ON state.customer_id = sale.customer_id AND order_ts >= __START_AT AND order_ts < coalesce(__END_AT, 'infinity')
GROUP BY ALL ORDER BY day
"""

_PROFILES = """
WITH orders AS (
  SELECT customer_id, order_id, min(order_ts) AS ordered_at, max(order_ts) AS last_line_at, count(*) AS lines,
    count(*) FILTER (reported_net_amount IS NULL) AS without_rate, sum(reported_gross_amount) AS gross, sum(reported_net_amount) AS net
  FROM silver.orders GROUP BY customer_id, order_id
),
totals AS (
  SELECT customer_id, count(*) AS orders_count, sum(lines) AS order_lines_count, sum(gross) AS gross, sum(net) AS net,
    sum(without_rate) AS without_rate, min(ordered_at) AS first_order_at, max(last_line_at) AS last_order_at,
    count(*) FILTER (ordered_at >= $as_of - INTERVAL 30 DAYS AND ordered_at < $as_of) AS orders_30d,
    sum(net) FILTER (ordered_at >= $as_of - INTERVAL 30 DAYS AND ordered_at < $as_of) AS net_30d,
    count(*) FILTER (ordered_at >= $as_of - INTERVAL 90 DAYS AND ordered_at < $as_of) AS orders_90d,
    sum(net) FILTER (ordered_at >= $as_of - INTERVAL 90 DAYS AND ordered_at < $as_of) AS net_90d
  FROM orders GROUP BY customer_id
),
by_category AS (
  SELECT customer_id, product_category, sum(reported_net_amount) AS net
  FROM silver.orders WHERE product_category IS NOT NULL GROUP BY ALL
),
categories AS (
  SELECT customer_id, product_category AS top_category FROM by_category
  QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY net DESC NULLS LAST, product_category) = 1
),
by_currency AS (
  SELECT customer_id, currency, count(DISTINCT order_id) AS orders_count, money(sum(gross_amount)) AS gross_amount,
    money(sum(net_amount)) AS net_amount
  FROM silver.orders GROUP BY ALL
),
spend AS (
  SELECT customer_id, list({currency: currency, orders_count: orders_count, gross_amount: gross_amount, net_amount: net_amount} ORDER BY currency) AS spend_by_currency
  FROM by_currency GROUP BY customer_id
),
visits AS (
  SELECT customer_id, count(*) AS sessions_count, max(ended_at) AS last_seen_at,
    count(*) FILTER (started_at >= $as_of - INTERVAL 30 DAYS AND started_at < $as_of) AS sessions_30d,
    count(*) FILTER (started_at >= $as_of - INTERVAL 90 DAYS AND started_at < $as_of) AS sessions_90d,
    count(*) FILTER (has_purchase) AS conversions
  FROM silver.web_sessions GROUP BY customer_id
),
tickets AS (
  SELECT customer_id, count(*) AS tickets_count, count(*) FILTER (is_open) AS open_tickets_count,
    count(*) FILTER (is_open AND priority = 'critical') AS open_critical_tickets_count, max(created_at) AS last_ticket_at,
    round(quotient(sum(satisfaction_score), nullif(count(satisfaction_score), 0)), 2) AS average_satisfaction
  FROM silver.support_tickets GROUP BY customer_id
)
SELECT customer_id, email, first_name, last_name, phone, date_of_birth, address, loyalty_tier, marketing_consent,
  customers.created_at, customers.updated_at,
  coalesce(totals.orders_count, 0) AS orders_count, CAST(coalesce(order_lines_count, 0) AS BIGINT) AS order_lines_count,
  CASE WHEN net IS NOT NULL THEN 'GBP' END AS reporting_currency,
  money(coalesce(gross, 0)) AS gross_amount, money(coalesce(net, 0)) AS net_amount,
  money(quotient(net, totals.orders_count)) AS average_order_value,
  CAST(coalesce(without_rate, 0) AS BIGINT) AS lines_without_rate_count,
  coalesce(orders_30d, 0) AS orders_30d_count, money(coalesce(net_30d, 0)) AS net_30d_amount,
  coalesce(orders_90d, 0) AS orders_90d_count, money(coalesce(net_90d, 0)) AS net_90d_amount,
  first_order_at, totals.last_order_at, top_category, spend_by_currency,
  coalesce(sessions_count, 0) AS sessions_count, last_seen_at, coalesce(sessions_30d, 0) AS sessions_30d_count,
  coalesce(sessions_90d, 0) AS sessions_90d_count, round(quotient(conversions, sessions_count), 4) AS conversion_rate,
  coalesce(tickets_count, 0) AS tickets_count, coalesce(open_tickets_count, 0) AS open_tickets_count,
  coalesce(open_critical_tickets_count, 0) AS open_critical_tickets_count, last_ticket_at, average_satisfaction, segment,
  CASE
    WHEN totals.orders_count IS NULL THEN 'no_purchase'
    WHEN orders_90d = 0 OR coalesce(open_critical_tickets_count, 0) > 0 THEN 'at_risk'
    WHEN orders_30d > 0 AND coalesce(open_tickets_count, 0) = 0 THEN 'healthy'
    ELSE 'neutral'
  END AS health
FROM silver.known_customers
LEFT JOIN silver.customers USING (customer_id)
LEFT JOIN totals USING (customer_id)
LEFT JOIN categories USING (customer_id)
LEFT JOIN spend USING (customer_id)
LEFT JOIN visits USING (customer_id)
LEFT JOIN tickets USING (customer_id)
LEFT JOIN gold.customer_segments USING (customer_id)
"""

_FEATURES = """
WITH snapshots AS (
  SELECT CAST($as_of AS DATE) AS as_of
  UNION SELECT CAST(date_trunc('month', $as_of) - to_months(CAST(back AS INT)) AS DATE) FROM range(12) AS months(back)
),
days AS (
  SELECT customer_id, order_id, CAST(order_ts AS DATE) AS day, min(order_ts) AS first_line_at, max(order_ts) AS last_line_at,
    sum(reported_net_amount) AS net
  FROM silver.orders GROUP BY ALL
),
-- When an order was placed does not depend on the snapshot: its earliest line is before it, or none is.
orders AS (
  SELECT *, min(first_line_at) OVER (PARTITION BY customer_id, order_id) AS ordered_at, first_line_at = ordered_at AS is_first FROM days
),
bought AS (
  SELECT customer_id, as_of, count(*) FILTER (is_first) AS orders_count, min(ordered_at) AS first_order_at,
    max(last_line_at) AS last_order_at, coalesce(sum(net), 0) AS net,
    count(*) FILTER (is_first AND ordered_at >= as_of - INTERVAL 30 DAYS) AS orders_30d,
    sum(net) FILTER (ordered_at >= as_of - INTERVAL 30 DAYS) AS net_30d,
    count(*) FILTER (is_first AND ordered_at >= as_of - INTERVAL 90 DAYS) AS orders_90d,
    sum(net) FILTER (ordered_at >= as_of - INTERVAL 90 DAYS) AS net_90d
  FROM orders JOIN snapshots ON day < as_of GROUP BY ALL
),
firsts AS (
  SELECT customer_id, product_category, CAST(min(order_ts) AS DATE) AS day
  FROM silver.orders WHERE product_category IS NOT NULL GROUP BY ALL
),
categories AS (
  SELECT customer_id, as_of, count(*) AS categories_count FROM firsts JOIN snapshots ON day < as_of GROUP BY ALL
),
visits AS (
  SELECT customer_id, as_of, count(*) AS sessions_count, count(*) FILTER (started_at >= as_of - INTERVAL 30 DAYS) AS sessions_30d,
    count(*) FILTER (started_at >= as_of - INTERVAL 90 DAYS) AS sessions_90d, max(ended_at) AS last_seen_at,
    count(*) FILTER (has_purchase) AS conversions
  FROM silver.web_sessions JOIN snapshots ON ended_at < as_of GROUP BY ALL
),
tickets AS (
  SELECT customer_id, as_of, count(*) FILTER (created_at >= as_of - INTERVAL 90 DAYS) AS tickets_90d,
    count(*) FILTER (resolved_at IS NULL OR resolved_at >= as_of) AS open_tickets,
    round(quotient(
      sum(satisfaction_score) FILTER (updated_at < as_of), nullif(count(satisfaction_score) FILTER (updated_at < as_of), 0)
    ), 2) AS average_satisfaction
  FROM silver.support_tickets JOIN snapshots ON created_at < as_of GROUP BY ALL
)
SELECT customer_id, as_of, loyalty_tier, marketing_consent,
  CAST(epoch_us(as_of - first_order_at) // 86400000000 AS INT) AS tenure_days,
  CAST(epoch_us(as_of - last_order_at) // 86400000000 AS INT) AS recency_days,
  orders_count, money(net) AS net_amount, money(quotient(net, orders_count)) AS average_order_value,
  coalesce(categories_count, 0) AS categories_count, orders_30d AS orders_30d_count, money(coalesce(net_30d, 0)) AS net_30d_amount,
  orders_90d AS orders_90d_count, money(coalesce(net_90d, 0)) AS net_90d_amount,
  coalesce(sessions_count, 0) AS sessions_count, coalesce(sessions_30d, 0) AS sessions_30d_count,
  coalesce(sessions_90d, 0) AS sessions_90d_count, CAST(epoch_us(as_of - last_seen_at) // 86400000000 AS INT) AS unseen_days,
  round(quotient(conversions, sessions_count), 4) AS conversion_rate,
  coalesce(tickets_90d, 0) AS tickets_90d_count, coalesce(open_tickets, 0) AS open_tickets_count, average_satisfaction
FROM bought
LEFT JOIN categories USING (customer_id, as_of)
LEFT JOIN visits USING (customer_id, as_of)
LEFT JOIN tickets USING (customer_id, as_of)
LEFT JOIN silver.customers_history AS state
  ON state.customer_id = bought.customer_id AND __START_AT < as_of AND coalesce(__END_AT, 'infinity') >= as_of
ORDER BY as_of
"""

_LABELS = """
SELECT features.customer_id, as_of, CASE WHEN as_of + INTERVAL 90 DAYS <= $as_of THEN count(sale.order_id) = 0 END AS churned
FROM gold.churn_features AS features
LEFT JOIN silver.orders AS sale
  ON sale.customer_id = features.customer_id AND order_ts >= as_of AND order_ts < as_of + INTERVAL 90 DAYS
GROUP BY features.customer_id, as_of ORDER BY as_of
"""

STEPS = {
    "customer_segments": _SEGMENTS,
    "revenue_daily": _REVENUE,
    "customer_360": _PROFILES,
    "churn_features": _FEATURES,
    "churn_labels": _LABELS,
}


def build(connection: duckdb.DuckDBPyConnection, lake: Path, as_of: date) -> None:
    connection.execute(_MACROS)
    for noun, query in STEPS.items():
        write(connection, lake, f"gold.{noun}", query.replace("$as_of", f"TIMESTAMPTZ '{as_of} 00:00:00+00'"))
