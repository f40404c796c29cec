-- Each snapshot with its instants, so that they are not computed for every row that is compared with them.
WITH snapshots AS (
  SELECT
    as_of,
    CAST(as_of AS TIMESTAMP) AS instant,
    CAST(as_of AS TIMESTAMP) - INTERVAL 30 DAYS AS instant_30d,
    CAST(as_of AS TIMESTAMP) - INTERVAL 90 DAYS AS instant_90d
  FROM (
    SELECT :as_of AS as_of
    UNION
    SELECT add_months(trunc(:as_of, 'MM'), months) AS as_of
    FROM VALUES (0), (-1), (-2), (-3), (-4), (-5), (-6), (-7), (-8), (-9), (-10), (-11) AS back(months)
  ) AS dates
),
-- Snapshots are taken at midnight: the lines of a day are before the same ones. An order begins with its first line.
days AS (
  SELECT
    *,
    min(first_line_at) OVER (PARTITION BY customer_id, order_id) AS ordered_at
  FROM (
    SELECT
      customer_id,
      order_id,
      to_date(order_ts) AS day,
      min(order_ts) AS first_line_at,
      max(order_ts) AS last_line_at,
      sum(reported_net_amount) AS net_amount
    FROM silver.orders
    GROUP BY customer_id, order_id, to_date(order_ts)
  ) AS parts
),
bought AS (
  SELECT
    days.customer_id,
    snapshots.as_of,
    snapshots.instant,
    count_if(days.first_line_at = days.ordered_at) AS orders_count,
    min(days.ordered_at) AS first_order_at,
    max(days.last_line_at) AS last_order_at,
    coalesce(sum(days.net_amount), 0) AS net_amount,
    count_if(days.first_line_at = days.ordered_at AND days.ordered_at >= snapshots.instant_30d) AS orders_30d_count,
    sum(CASE WHEN days.ordered_at >= snapshots.instant_30d THEN days.net_amount END) AS net_30d_amount,
    count_if(days.first_line_at = days.ordered_at AND days.ordered_at >= snapshots.instant_90d) AS orders_90d_count,
    sum(CASE WHEN days.ordered_at >= snapshots.instant_90d THEN days.net_amount END) AS net_90d_amount
  FROM days
  JOIN snapshots ON days.day < snapshots.as_of
  GROUP BY days.customer_id, snapshots.as_of, snapshots.instant
),
categories AS (
  SELECT firsts.customer_id, snapshots.as_of, count(*) AS categories_count
  FROM (
    SELECT customer_id, product_category, to_date(min(order_ts)) AS day
    FROM silver.orders
    WHERE product_category IS NOT NULL
    GROUP BY customer_id, product_category
  ) AS firsts
  JOIN snapshots ON firsts.day < snapshots.as_of
  GROUP BY firsts.customer_id, snapshots.as_of
),
-- A visit that goes on past midnight is not known before.
visits AS (
  SELECT
    visit.customer_id,
    snapshots.as_of,
    count(*) AS sessions_count,
    count_if(visit.started_at >= snapshots.instant_30d) AS sessions_30d_count,
    count_if(visit.started_at >= snapshots.instant_90d) AS sessions_90d_count,
    max(visit.ended_at) AS last_seen_at,
    count_if(visit.has_purchase) AS conversions_count
  FROM silver.web_sessions AS visit
  JOIN snapshots ON visit.ended_at < snapshots.instant
  GROUP BY visit.customer_id, snapshots.as_of
),
-- Only the newest state of a ticket is kept: what it was like before is told by its instants, and by nothing that has none.
known_tickets AS (
  SELECT
    ticket.customer_id,
    snapshots.as_of,
    ticket.created_at >= snapshots.instant_90d AS is_recent,
    ticket.resolved_at IS NULL OR ticket.resolved_at >= snapshots.instant AS is_open,
    CASE WHEN ticket.updated_at < snapshots.instant THEN ticket.satisfaction_score END AS satisfaction_score
  FROM silver.support_tickets AS ticket
  JOIN snapshots ON ticket.created_at < snapshots.instant
  WHERE NOT ticket.is_deleted
),
tickets AS (
  SELECT
    customer_id,
    as_of,
    count_if(is_recent) AS tickets_90d_count,
    count_if(is_open) AS open_tickets_count,
    CAST(round(avg(CAST(satisfaction_score AS DECIMAL(10,0))), 2) AS DECIMAL(4,2)) AS average_satisfaction
  FROM known_tickets
  GROUP BY customer_id, as_of
)
SELECT
  bought.customer_id,
  bought.as_of,
  state.loyalty_tier,
  state.marketing_consent,
  timestampdiff(DAY, bought.first_order_at, bought.instant) AS tenure_days,
  timestampdiff(DAY, bought.last_order_at, bought.instant) AS recency_days,
  bought.orders_count,
  CAST(round(bought.net_amount, 2) AS DECIMAL(38,2)) AS net_amount,
  CAST(round(try_divide(CAST(bought.net_amount AS DECIMAL(38,6)), CAST(bought.orders_count AS DECIMAL(19,0))), 2) AS DECIMAL(38,2)) AS average_order_value,
  coalesce(categories.categories_count, 0) AS categories_count,
  bought.orders_30d_count,
  CAST(round(coalesce(bought.net_30d_amount, 0), 2) AS DECIMAL(38,2)) AS net_30d_amount,
  bought.orders_90d_count,
  CAST(round(coalesce(bought.net_90d_amount, 0), 2) AS DECIMAL(38,2)) AS net_90d_amount,
  coalesce(visits.sessions_count, 0) AS sessions_count,
  coalesce(visits.sessions_30d_count, 0) AS sessions_30d_count,
  coalesce(visits.sessions_90d_count, 0) AS sessions_90d_count,
  timestampdiff(DAY, visits.last_seen_at, bought.instant) AS unseen_days,
  CAST(round(try_divide(CAST(visits.conversions_count AS DECIMAL(10,0)), CAST(visits.sessions_count AS DECIMAL(10,0))), 4) AS DECIMAL(5,4)) AS conversion_rate,
  coalesce(tickets.tickets_90d_count, 0) AS tickets_90d_count,
  coalesce(tickets.open_tickets_count, 0) AS open_tickets_count,
  tickets.average_satisfaction
FROM bought
LEFT JOIN categories ON categories.customer_id = bought.customer_id AND categories.as_of = bought.as_of
LEFT JOIN visits ON visits.customer_id = bought.customer_id AND visits.as_of = bought.as_of
LEFT JOIN tickets ON tickets.customer_id = bought.customer_id AND tickets.as_of = bought.as_of
LEFT JOIN silver.customers_history AS state
  ON state.customer_id = bought.customer_id
  AND state.__START_AT < bought.instant
  AND coalesce(state.__END_AT, TIMESTAMP '9999-12-31 23:59:59.999999') >= bought.instant
