WITH marked AS (
  SELECT
    *,
    CASE
      WHEN unix_micros(event_ts) - lag(unix_micros(event_ts)) OVER (PARTITION BY visitor_key ORDER BY event_ts, event_id) <= 1800000000 THEN 0
      ELSE 1
    END AS starts
  FROM silver.web_events
),
numbered AS (
  SELECT *, sum(starts) OVER (PARTITION BY visitor_key ORDER BY event_ts, event_id) AS visit
  FROM marked
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY visitor_key, visit ORDER BY event_ts, event_id) AS place,
    first_value(device_id) IGNORE NULLS OVER (PARTITION BY visitor_key, visit ORDER BY event_ts, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_device,
    first_value(page_url) IGNORE NULLS OVER (PARTITION BY visitor_key, visit ORDER BY event_ts, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_page,
    last_value(page_url) IGNORE NULLS OVER (PARTITION BY visitor_key, visit ORDER BY event_ts, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last_page,
    first_value(device_type) IGNORE NULLS OVER (PARTITION BY visitor_key, visit ORDER BY event_ts, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_device_type,
    first_value(browser) IGNORE NULLS OVER (PARTITION BY visitor_key, visit ORDER BY event_ts, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_browser
  FROM numbered
)
SELECT
  left(sha2(concat_ws('|', visitor_key, CAST(min(unix_micros(event_ts)) AS STRING), min(CASE WHEN place = 1 THEN event_id END)), 256), 32) AS session_id,
  visitor_key,
  min(customer_id) AS customer_id,
  min(first_device) AS device_id,
  min(event_ts) AS started_at,
  max(event_ts) AS ended_at,
  timestampdiff(SECOND, min(event_ts), max(event_ts)) AS duration_seconds,
  count(*) AS events_count,
  count_if(event_type = 'page_view') AS page_views_count,
  count_if(event_type = 'click') AS clicks_count,
  count_if(event_type = 'search') AS searches_count,
  count_if(event_type = 'add_to_cart') AS add_to_carts_count,
  count_if(event_type = 'purchase') AS purchases_count,
  coalesce(bool_or(event_type = 'purchase'), false) AS has_purchase,
  min(first_page) AS entry_page_url,
  min(last_page) AS exit_page_url,
  min(CASE WHEN place = 1 THEN referrer END) AS referrer,
  min(first_device_type) AS device_type,
  min(first_browser) AS browser
FROM placed
GROUP BY visitor_key, visit
