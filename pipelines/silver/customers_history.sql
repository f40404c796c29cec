-- One row per record version; the flow orders them and keeps the states they lead to.
WITH versions AS (
  SELECT
    *,
    nullif(trim(customer_id), '') AS clean_customer_id,
    upper(trim(address.country)) AS country,
    -- Up to the first letter after a digit, or one of ; # and the comma: what follows is an extension.
    regexp_replace(regexp_extract(phone, '^[^0-9]*[0-9][^A-Za-z;#,]*', 0), '[^0-9+]', '') AS dialled
  FROM bronze.crm_customers
  WHERE _corrupt_record IS NULL
),
numbers AS (
  SELECT
    *,
    CASE
      WHEN dialled LIKE '+%' THEN regexp_replace(dialled, '[^0-9]', '')
      WHEN dialled LIKE '00%' THEN substring(regexp_replace(dialled, '[^0-9]', ''), 3)
    END AS international,
    regexp_replace(dialled, '[^0-9]', '') AS national
  FROM versions
),
-- No calling code begins another, so at most one of the three is found; joined by equality, one row finds one row.
abroad AS (
  SELECT calling_code, national_prefix, possible_lengths
  FROM reference.calling_codes
  WHERE is_main_country
),
planned AS (
  SELECT
    numbers.*,
    CASE WHEN international IS NULL THEN own.calling_code ELSE coalesce(one.calling_code, two.calling_code, three.calling_code) END AS calling_code,
    CASE WHEN international IS NULL THEN own.national_prefix ELSE coalesce(one.national_prefix, two.national_prefix, three.national_prefix) END AS prefix,
    CASE WHEN international IS NULL THEN own.possible_lengths ELSE coalesce(one.possible_lengths, two.possible_lengths, three.possible_lengths) END AS lengths
  FROM numbers
  LEFT JOIN reference.calling_codes AS own ON own.country = numbers.country
  LEFT JOIN abroad AS one ON one.calling_code = left(international, 1)
  LEFT JOIN abroad AS two ON two.calling_code = left(international, 2)
  LEFT JOIN abroad AS three ON three.calling_code = left(international, 3)
),
written AS (
  SELECT
    *,
    CASE WHEN international IS NULL THEN national ELSE substring(international, length(calling_code) + 1) END AS written
  FROM planned
),
-- A number may be written with its national prefix, also after the calling code as in +44 (0)20, or with a calling code that
-- nothing marks as one.
readings AS (
  SELECT
    *,
    CASE WHEN startswith(written, prefix) THEN substring(written, length(prefix) + 1) END AS without_prefix,
    CASE WHEN international IS NULL AND startswith(written, calling_code) THEN substring(written, length(calling_code) + 1) END AS without_code
  FROM written
)
SELECT
  clean_customer_id AS customer_id,
  lower(nullif(trim(email), '')) AS email,
  nullif(trim(first_name), '') AS first_name,
  nullif(trim(last_name), '') AS last_name,
  concat('+', calling_code, CASE
    WHEN contains(lengths, concat(',', CAST(length(without_prefix) AS STRING), ',')) THEN without_prefix
    WHEN contains(lengths, concat(',', CAST(length(written) AS STRING), ',')) THEN written
    WHEN contains(lengths, concat(',', CAST(length(without_code) AS STRING), ',')) THEN without_code
  END) AS phone,
  date_of_birth,
  address,
  lower(nullif(trim(loyalty_tier), '')) AS loyalty_tier,
  marketing_consent,
  created_at,
  updated_at,
  _file_modification_time,
  _source_file,
  _row_number,
  _correction
FROM readings
