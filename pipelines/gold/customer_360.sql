WITH orders AS (
  SELECT
    customer_id,
    order_id,
    min(order_ts) AS ordered_at,
    max(order_ts) AS last_line_at,
    count(*) AS lines_count,
    count_if(reported_net_amount IS NULL) AS lines_without_rate,
    sum(reported_gross_amount) AS gross_amount,
    sum(reported_net_amount) AS net_amount
  FROM silver.orders
  GROUP BY customer_id, order_id
),
totals AS (
  SELECT
    customer_id,
    count(*) AS orders_count,
    sum(lines_count) AS order_lines_count,
    sum(gross_amount) AS gross_amount,
    sum(net_amount) AS net_amount,
    sum(lines_without_rate) AS lines_without_rate_count,
    min(ordered_at) AS first_order_at,
    max(last_line_at) AS last_order_at,
    count_if(ordered_at >= CAST(:as_of AS TIMESTAMP) - INTERVAL 30 DAYS AND ordered_at < CAST(:as_of AS TIMESTAMP)) AS orders_30d_count,
    sum(CASE WHEN ordered_at >= CAST(:as_of AS TIMESTAMP) - INTERVAL 30 DAYS AND ordered_at < CAST(:as_of AS TIMESTAMP) THEN net_amount END) AS net_30d_amount,
    count_if(ordered_at >= CAST(:as_of AS TIMESTAMP) - INTERVAL 90 DAYS AND ordered_at < CAST(:as_of AS TIMESTAMP)) AS orders_90d_count,
    sum(CASE WHEN ordered_at >= CAST(:as_of AS TIMESTAMP) - INTERVAL 90 DAYS AND ordered_at < CAST(:as_of AS TIMESTAMP) THEN net_amount END) AS net_90d_amount
  FROM orders
  GROUP BY customer_id
),
categories AS (
  SELECT
    customer_id,
    product_category,
    row_number() OVER (PARTITION BY customer_id ORDER BY sum(reported_net_amount) DESC NULLS LAST, product_category) AS place
  FROM silver.orders
  WHERE product_category IS NOT NULL
  GROUP BY customer_id, product_category
),
currencies AS (
  SELECT
    customer_id,
    currency,
    count(DISTINCT order_id) AS orders_count,
    CAST(round(sum(gross_amount), 2) AS DECIMAL(38,2)) AS gross_amount,
    CAST(round(sum(net_amount), 2) AS DECIMAL(38,2)) AS net_amount
  FROM silver.orders
  GROUP BY customer_id, currency
),
spend AS (
  SELECT
    customer_id,
    array_sort(collect_list(named_struct(
      'currency', currency, 'orders_count', orders_count, 'gross_amount', gross_amount, 'net_amount', net_amount
    ))) AS spend_by_currency
  FROM currencies
  GROUP BY customer_id
),
visits AS (
  SELECT
    customer_id,
    count(*) AS sessions_count,
    max(ended_at) AS last_seen_at,
    count_if(started_at >= CAST(:as_of AS TIMESTAMP) - INTERVAL 30 DAYS AND started_at < CAST(:as_of AS TIMESTAMP)) AS sessions_30d_count,
    count_if(started_at >= CAST(:as_of AS TIMESTAMP) - INTERVAL 90 DAYS AND started_at < CAST(:as_of AS TIMESTAMP)) AS sessions_90d_count,
    count_if(has_purchase) AS conversions_count
  FROM silver.web_sessions
  GROUP BY customer_id
),
tickets AS (
  SELECT
    customer_id,
    count(*) AS tickets_count,
    count_if(is_open) AS open_tickets_count,
    count_if(is_open AND priority = 'critical') AS open_critical_tickets_count,
    max(created_at) AS last_ticket_at,
    CAST(round(avg(CAST(satisfaction_score AS DECIMAL(10,0))), 2) AS DECIMAL(4,2)) AS average_satisfaction
  FROM silver.support_tickets
  WHERE NOT is_deleted
  GROUP BY customer_id
)
SELECT
  known.customer_id,
  customers.email,
  customers.first_name,
  customers.last_name,
  customers.phone,
  customers.date_of_birth,
  customers.address,
  customers.loyalty_tier,
  customers.marketing_consent,
  customers.created_at,
  customers.updated_at,
  coalesce(totals.orders_count, 0) AS orders_count,
  coalesce(totals.order_lines_count, 0) AS order_lines_count,
  CASE WHEN totals.net_amount IS NOT NULL THEN reporting.currency END AS reporting_currency,
  CAST(round(coalesce(totals.gross_amount, 0), 2) AS DECIMAL(38,2)) AS gross_amount,
  CAST(round(coalesce(totals.net_amount, 0), 2) AS DECIMAL(38,2)) AS net_amount,
  CAST(round(try_divide(CAST(totals.net_amount AS DECIMAL(38,6)), CAST(totals.orders_count AS DECIMAL(19,0))), 2) AS DECIMAL(38,2)) AS average_order_value,
  coalesce(totals.lines_without_rate_count, 0) AS lines_without_rate_count,
  coalesce(totals.orders_30d_count, 0) AS orders_30d_count,
  CAST(round(coalesce(totals.net_30d_amount, 0), 2) AS DECIMAL(38,2)) AS net_30d_amount,
  coalesce(totals.orders_90d_count, 0) AS orders_90d_count,
  CAST(round(coalesce(totals.net_90d_amount, 0), 2) AS DECIMAL(38,2)) AS net_90d_amount,
  totals.first_order_at,
  totals.last_order_at,
  categories.product_category AS top_category,
  spend.spend_by_currency,
  coalesce(visits.sessions_count, 0) AS sessions_count,
  visits.last_seen_at,
  coalesce(visits.sessions_30d_count, 0) AS sessions_30d_count,
  coalesce(visits.sessions_90d_count, 0) AS sessions_90d_count,
  CAST(round(try_divide(CAST(visits.conversions_count AS DECIMAL(10,0)), CAST(visits.sessions_count AS DECIMAL(10,0))), 4) AS DECIMAL(5,4)) AS conversion_rate,
  coalesce(tickets.tickets_count, 0) AS tickets_count,
  coalesce(tickets.open_tickets_count, 0) AS open_tickets_count,
  coalesce(tickets.open_critical_tickets_count, 0) AS open_critical_tickets_count,
  tickets.last_ticket_at,
  tickets.average_satisfaction,
  coalesce(segments.segment, 'no_purchase') AS segment,
  CASE
    WHEN totals.customer_id IS NULL THEN 'no_purchase'
    WHEN totals.orders_90d_count = 0 OR coalesce(tickets.open_critical_tickets_count, 0) > 0 THEN 'at_risk'
    WHEN totals.orders_30d_count > 0 AND coalesce(tickets.open_tickets_count, 0) = 0 THEN 'healthy'
    ELSE 'neutral'
  END AS health
FROM silver.known_customers AS known
CROSS JOIN reference.reporting_currency AS reporting
LEFT JOIN silver.customers AS customers ON customers.customer_id = known.customer_id
LEFT JOIN totals ON totals.customer_id = known.customer_id
LEFT JOIN categories ON categories.customer_id = known.customer_id AND categories.place = 1
LEFT JOIN spend ON spend.customer_id = known.customer_id
LEFT JOIN visits ON visits.customer_id = known.customer_id
LEFT JOIN tickets ON tickets.customer_id = known.customer_id
LEFT JOIN gold.customer_segments AS segments ON segments.customer_id = known.customer_id
