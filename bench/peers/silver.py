"""Bronze to silver: the newest version of each record, cleaned; history, prices, sessions.

``_arrival`` of bronze says which version of several is the newest.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from bench.peers.lake import write

_TEXT = "nullif(trim({0}, ' '), '')"
_PHONE_TEXT = "regexp_extract(phone, '^[^0-9]*[0-9][^A-Za-z;#,]*')"
_WORD = "replace(replace(lower(trim({0}, ' ')), ' ', '_'), '-', '_')"

_RATES = """
WITH versions AS (
  SELECT upper(trim(currency, ' ')) AS currency, CAST(valid_from AS TIMESTAMPTZ) AS valid_from, rate
  FROM bronze.exchange_rates WHERE rate > 0
  QUALIFY row_number() OVER (PARTITION BY upper(trim(currency, ' ')), valid_from ORDER BY _arrival DESC) = 1
  UNION ALL FROM reference.reporting_currency
)
SELECT currency, valid_from, lead(valid_from) OVER (PARTITION BY currency ORDER BY valid_from) AS valid_until, rate
FROM versions
"""

_ORDERS = f"""
WITH newest AS (
  SELECT * FROM bronze.ecommerce_orders
  WHERE _arrival IN (SELECT max(_arrival) FROM bronze.ecommerce_orders GROUP BY trim(order_id, ' '), line_number)
),
cleaned AS (
  SELECT {_TEXT.format("order_id")} AS order_id, line_number, {_TEXT.format("customer_id")} AS customer_id, order_ts,
    {_TEXT.format("product_id")} AS product_id, {_TEXT.format("product_name")} AS product_name,
    {_TEXT.format("product_category")} AS product_category, quantity, unit_price, coalesce(discount_pct, 0) AS discount_pct,
    upper({_TEXT.format("currency")}) AS currency, lower({_TEXT.format("payment_method")}) AS payment_method,
    lower(trim(status, ' ')) AS status,
    CAST(CAST(quantity AS DECIMAL(19,0)) * unit_price AS DECIMAL(38,6)) AS gross_amount
  FROM newest
),
sales AS (
  SELECT *,
    CAST(CAST(gross_amount AS DECIMAL(24,6)) * CAST(100 - discount_pct AS DECIMAL(10,6)) * 0.01 AS DECIMAL(38,6)) AS net_amount
  FROM cleaned
  WHERE order_id IS NOT NULL AND line_number IS NOT NULL AND customer_id IS NOT NULL AND order_ts IS NOT NULL
    AND discount_pct BETWEEN 0 AND 100 AND quantity > 0 AND unit_price > 0
    AND status IN ('completed', 'paid', 'shipped', 'delivered')
)
SELECT sales.*,
  CAST(CAST(gross_amount AS DECIMAL(20,6)) * rate AS DECIMAL(38,6)) AS reported_gross_amount,
  CAST(CAST(net_amount AS DECIMAL(20,6)) * rate AS DECIMAL(38,6)) AS reported_net_amount
FROM sales LEFT JOIN silver.exchange_rates AS rates
  ON rates.currency = sales.currency AND order_ts >= valid_from AND order_ts < coalesce(valid_until, 'infinity')
"""

_EVENTS = f"""
WITH newest AS (
  SELECT {_TEXT.format("event_id")} AS event_id, {_TEXT.format("customer_id")} AS customer_id,
    {_TEXT.format("device_id")} AS device_id, event_ts, event_type, page_url, referrer, device_type, browser
  FROM bronze.web_events
  WHERE _arrival IN (SELECT max(_arrival) FROM bronze.web_events GROUP BY trim(event_id, ' '))
)
SELECT event_id,
  sha256(CASE WHEN customer_id IS NOT NULL THEN 'customer:' || customer_id ELSE 'device:' || device_id END) AS visitor_key,
  customer_id, device_id, event_ts, lower({_TEXT.format("event_type")}) AS event_type, {_TEXT.format("page_url")} AS page_url,
  {_TEXT.format("referrer")} AS referrer, lower({_TEXT.format("device_type")}) AS device_type, {_TEXT.format("browser")} AS browser
FROM newest WHERE event_id IS NOT NULL AND event_ts IS NOT NULL AND (customer_id IS NOT NULL OR device_id IS NOT NULL)
"""

_SESSIONS = """
WITH marked AS (
  SELECT *,
    row_number() OVER visitor AS place,
    coalesce(epoch_us(event_ts) - epoch_us(lag(event_ts) OVER visitor) > 1800000000, true) AS starts
  FROM silver.web_events
  WINDOW visitor AS (PARTITION BY visitor_key ORDER BY event_ts, event_id)
),
visits AS (
  SELECT *, count(*) FILTER (starts) OVER (PARTITION BY visitor_key ORDER BY place) AS visit FROM marked
)
SELECT
  left(sha256(concat_ws('|', visitor_key, epoch_us(min(event_ts)), arg_min(event_id, place))), 32) AS session_id,
  visitor_key,
  min(customer_id) AS customer_id,
  arg_min(device_id, place) AS device_id,
  min(event_ts) AS started_at,
  max(event_ts) AS ended_at,
  (epoch_us(max(event_ts)) - epoch_us(min(event_ts))) // 1000000 AS duration_seconds,
  count(*) AS events_count,
  count(*) FILTER (event_type = 'page_view') AS page_views_count,
  count(*) FILTER (event_type = 'click') AS clicks_count,
  count(*) FILTER (event_type = 'search') AS searches_count,
  count(*) FILTER (event_type = 'add_to_cart') AS add_to_carts_count,
  count(*) FILTER (event_type = 'purchase') AS purchases_count,
  count(*) FILTER (event_type = 'purchase') > 0 AS has_purchase,
  arg_min(page_url, place) AS entry_page_url,
  arg_max(page_url, place) AS exit_page_url,
  arg_min_null(referrer, place) AS referrer,
  arg_min(device_type, place) AS device_type,
  arg_min(browser, place) AS browser
FROM visits GROUP BY visitor_key, visit
"""

_TICKETS = f"""
WITH words(word, status) AS (VALUES
  ('new', 'new'), ('open', 'open'), ('reopened', 'open'), ('in_progress', 'open'), ('pending', 'pending'), ('waiting', 'pending'),
  ('waiting_for_customer', 'pending'), ('on_hold', 'on_hold'), ('hold', 'on_hold'), ('resolved', 'resolved'), ('solved', 'resolved'),
  ('closed', 'closed'), ('done', 'closed')
),
ranks(word, priority) AS (VALUES
  ('low', 'low'), ('minor', 'low'), ('p4', 'low'), ('medium', 'medium'), ('normal', 'medium'), ('p3', 'medium'),
  ('high', 'high'), ('major', 'high'), ('p2', 'high'), ('critical', 'critical'), ('urgent', 'critical'), ('p1', 'critical')
)
SELECT {_TEXT.format("ticket_id")} AS ticket_id, {_TEXT.format("customer_id")} AS customer_id,
  {_TEXT.format("subject")} AS subject, {_TEXT.format("body")} AS body,
  nullif({_WORD.format("category")}, '') AS category, ranks.priority, words.status,
  words.status NOT IN ('resolved', 'closed') AS is_open,
  created_at, updated_at, resolved_at, {_TEXT.format("agent_id")} AS agent_id, satisfaction_score,
  false AS is_deleted, CAST(NULL AS TIMESTAMPTZ) AS deleted_at
FROM bronze.support_tickets AS ticket
JOIN words ON words.word = {_WORD.format("ticket.status")}
JOIN ranks ON ranks.word = lower(trim(ticket.priority, ' '))
WHERE {_TEXT.format("ticket_id")} IS NOT NULL AND coalesce(satisfaction_score, 1) BETWEEN 1 AND 5
"""

_KNOWN = f"""
WITH mentions AS (
  SELECT {_TEXT.format("customer_id")} AS customer_id, 'crm' AS source FROM bronze.crm_customers
  UNION SELECT {_TEXT.format("customer_id")}, 'shop' FROM bronze.ecommerce_orders
  UNION SELECT {_TEXT.format("customer_id")}, 'support' FROM bronze.support_tickets
  UNION SELECT {_TEXT.format("customer_id")}, 'web' FROM bronze.web_events
)
SELECT customer_id, list(source ORDER BY source) AS sources FROM mentions WHERE customer_id IS NOT NULL GROUP BY customer_id
"""

_HISTORY = f"""
WITH dialled AS (
  SELECT * REPLACE ({_TEXT.format("customer_id")} AS customer_id, regexp_replace({_PHONE_TEXT}, '[^0-9+]', '', 'g') AS phone),
    upper(trim(address.country, ' ')) AS country
  FROM bronze.crm_customers WHERE {_TEXT.format("customer_id")} IS NOT NULL AND updated_at IS NOT NULL
),
digits AS (
  SELECT *, regexp_replace(phone, '[^0-9]', '', 'g') AS national,
    CASE WHEN phone LIKE '+%' THEN regexp_replace(phone, '[^0-9]', '', 'g')
      WHEN phone LIKE '00%' THEN regexp_replace(phone, '[^0-9]', '', 'g')[3:] END AS international
  FROM dialled
),
plans AS (SELECT calling_code, national_prefix, possible_lengths FROM reference.calling_codes WHERE is_main_country),
planned AS (
  SELECT digits.*, plan.calling_code, plan.national_prefix AS prefix, plan.possible_lengths AS lengths,
    CASE WHEN international IS NULL THEN national ELSE international[length(plan.calling_code) + 1:] END AS written
  FROM digits
  LEFT JOIN reference.calling_codes AS own ON own.country = digits.country
  LEFT JOIN plans AS one ON one.calling_code = international[:1]
  LEFT JOIN plans AS two ON two.calling_code = international[:2]
  LEFT JOIN plans AS three ON three.calling_code = international[:3],
  LATERAL (
    SELECT CASE WHEN international IS NULL THEN own.calling_code ELSE coalesce(one.calling_code, two.calling_code, three.calling_code) END AS calling_code,
      CASE WHEN international IS NULL THEN own.national_prefix ELSE coalesce(one.national_prefix, two.national_prefix, three.national_prefix) END AS national_prefix,
      CASE WHEN international IS NULL THEN own.possible_lengths ELSE coalesce(one.possible_lengths, two.possible_lengths, three.possible_lengths) END AS possible_lengths
  ) AS plan
),
versions AS (
  SELECT customer_id, lower({_TEXT.format("email")}) AS email, {_TEXT.format("first_name")} AS first_name,
    {_TEXT.format("last_name")} AS last_name,
    '+' || calling_code || CASE
      WHEN starts_with(written, prefix) AND contains(lengths, ',' || length(written[length(prefix) + 1:]) || ',')
        THEN written[length(prefix) + 1:]
      WHEN contains(lengths, ',' || length(written) || ',') THEN written
      WHEN international IS NULL AND starts_with(written, calling_code)
        AND contains(lengths, ',' || length(written[length(calling_code) + 1:]) || ',') THEN written[length(calling_code) + 1:]
    END AS phone,
    date_of_birth, address, lower({_TEXT.format("loyalty_tier")}) AS loyalty_tier, marketing_consent, created_at, updated_at, _arrival
  FROM planned
),
single AS (
  SELECT * EXCLUDE (_arrival), row(email, first_name, last_name, phone, date_of_birth, address, loyalty_tier, marketing_consent, created_at) AS said
  FROM versions
  QUALIFY row_number() OVER (PARTITION BY customer_id, updated_at ORDER BY _arrival DESC) = 1
),
marked AS (
  SELECT *, said IS DISTINCT FROM lag(said) OVER history AS starts FROM single
  WINDOW history AS (PARTITION BY customer_id ORDER BY updated_at)
),
states AS (
  SELECT *, count(*) FILTER (starts) OVER (PARTITION BY customer_id ORDER BY updated_at) AS state FROM marked
),
ended AS (
  SELECT * EXCLUDE (said, starts),
    min(updated_at) OVER (PARTITION BY customer_id, state) AS __START_AT
  FROM states
  QUALIFY row_number() OVER (PARTITION BY customer_id, state ORDER BY updated_at DESC) = 1
)
SELECT * EXCLUDE (state), lead(__START_AT) OVER (PARTITION BY customer_id ORDER BY __START_AT) AS __END_AT FROM ended
"""

_CUSTOMERS = """
SELECT * EXCLUDE (__START_AT, __END_AT), __START_AT AS valid_from FROM silver.customers_history WHERE __END_AT IS NULL
"""

STEPS = {
    "exchange_rates": _RATES,
    "orders": _ORDERS,
    "web_events": _EVENTS,
    "web_sessions": _SESSIONS,
    "support_tickets": _TICKETS,
    "known_customers": _KNOWN,
    "customers_history": _HISTORY,
    "customers": _CUSTOMERS,
}


def build(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    for noun, query in STEPS.items():
        write(connection, lake, f"silver.{noun}", query)
