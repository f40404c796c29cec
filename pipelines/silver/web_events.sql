-- Newest version of each event first, so that one that was sent again is counted once, whoever it names then. Few are, and only
-- they are put in order. An event without an id is never taken for another, so that each one is seen and counted.
WITH sent_again AS (
  SELECT nullif(trim(event_id), '') AS event_id
  FROM bronze.web_events
  GROUP BY nullif(trim(event_id), '')
  HAVING count(*) > 1
),
versions AS (
  SELECT
    event.*,
    row_number() OVER (
      PARTITION BY sent_again.event_id
      ORDER BY event._file_modification_time DESC, event._source_file DESC, event._row_number DESC, event._correction DESC
    ) AS age
  FROM bronze.web_events AS event
  JOIN sent_again ON sent_again.event_id = nullif(trim(event.event_id), '')
),
newest AS (
  SELECT event.*
  FROM bronze.web_events AS event
  LEFT ANTI JOIN sent_again ON sent_again.event_id = nullif(trim(event.event_id), '')
  UNION ALL
  SELECT * EXCEPT (age)
  FROM versions
  WHERE age = 1
),
cleaned AS (
  SELECT
    nullif(trim(event_id), '') AS event_id,
    nullif(trim(customer_id), '') AS customer_id,
    nullif(trim(device_id), '') AS device_id,
    event_ts,
    lower(nullif(trim(event_type), '')) AS event_type,
    nullif(trim(page_url), '') AS page_url,
    nullif(trim(referrer), '') AS referrer,
    lower(nullif(trim(device_type), '')) AS device_type,
    nullif(trim(browser), '') AS browser,
    _source_file,
    _file_modification_time,
    _row_number,
    _correction
  FROM newest
)
SELECT
  event_id,
  CASE
    WHEN customer_id IS NOT NULL THEN sha2(concat('customer:', customer_id), 256)
    WHEN device_id IS NOT NULL THEN sha2(concat('device:', device_id), 256)
  END AS visitor_key,
  customer_id,
  device_id,
  event_ts,
  event_type,
  page_url,
  referrer,
  device_type,
  browser,
  _source_file,
  _file_modification_time,
  _row_number,
  _correction
FROM cleaned
