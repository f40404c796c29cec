WITH versions AS (
  SELECT
    upper(nullif(trim(currency), '')) AS currency,
    CAST(valid_from AS TIMESTAMP) AS valid_from,
    rate,
    row_number() OVER (
      PARTITION BY upper(nullif(trim(currency), '')), valid_from
      ORDER BY _file_modification_time DESC, _source_file DESC, _row_number DESC, _correction DESC
    ) AS age
  FROM bronze.exchange_rates
),
rates AS (
  SELECT currency, valid_from, rate
  FROM versions
  WHERE age = 1 AND currency IS NOT NULL AND valid_from IS NOT NULL AND rate > 0
  UNION ALL
  SELECT currency, valid_from, rate
  FROM reference.reporting_currency
)
SELECT
  currency,
  valid_from,
  lead(valid_from) OVER (PARTITION BY currency ORDER BY valid_from) AS valid_until,
  rate
FROM rates
