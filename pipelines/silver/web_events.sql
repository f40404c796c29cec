-- Newest version of each event first, so that one that was sent again is counted once, whoever it names then.
-- An event without an id is a version of itself only, so that each one is seen and counted.
WITH versions AS (
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
    row_number() OVER (
      PARTITION BY
        nullif(trim(event_id), ''),
        CASE WHEN nullif(trim(event_id), '') IS NULL THEN _source_file END,
        CASE WHEN nullif(trim(event_id), '') IS NULL THEN _row_number END
      ORDER BY _file_modification_time DESC, _source_file DESC, _row_number DESC, _correction DESC
    ) AS age,
    _source_file,
    _file_modification_time,
    _row_number,
    _correction
  FROM bronze.web_events
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
FROM versions
WHERE age = 1
