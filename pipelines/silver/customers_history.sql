-- One row per record version; the flow orders them and keeps the states they lead to.
WITH versions AS (
  SELECT
    *,
    nullif(trim(customer_id), '') AS clean_customer_id,
    upper(trim(address.country)) AS country,
    regexp_replace(phone, '[^0-9+]', '') AS dialled
  FROM bronze.crm_customers
  WHERE _corrupt_record IS NULL
),
numbers AS (
  SELECT
    versions.*,
    plan.calling_code,
    plan.national_prefix,
    plan.possible_lengths,
    CASE
      WHEN dialled LIKE '+%' THEN regexp_replace(dialled, '[^0-9]', '')
      WHEN dialled LIKE '00%' THEN substring(regexp_replace(dialled, '[^0-9]', ''), 3)
    END AS international,
    regexp_replace(dialled, '[^0-9]', '') AS national
  FROM versions
  LEFT JOIN reference.calling_codes AS plan ON plan.country = versions.country
),
resolved AS (
  SELECT
    numbers.*,
    foreign_plan.calling_code AS foreign_code,
    foreign_plan.possible_lengths AS foreign_lengths,
    substring(international, length(foreign_plan.calling_code) + 1) AS foreign_number,
    CASE
      WHEN numbers.national_prefix IS NOT NULL AND startswith(national, numbers.national_prefix)
        THEN substring(national, length(numbers.national_prefix) + 1)
      ELSE national
    END AS national_number
  FROM numbers
  LEFT JOIN reference.calling_codes AS foreign_plan
    ON foreign_plan.is_main_country
    AND foreign_plan.calling_code IN (left(international, 1), left(international, 2), left(international, 3))
)
SELECT
  clean_customer_id AS customer_id,
  lower(nullif(trim(email), '')) AS email,
  nullif(trim(first_name), '') AS first_name,
  nullif(trim(last_name), '') AS last_name,
  CASE
    WHEN international IS NOT NULL THEN
      CASE
        WHEN contains(foreign_lengths, concat(',', CAST(length(foreign_number) AS STRING), ','))
          THEN concat('+', foreign_code, foreign_number)
      END
    WHEN contains(possible_lengths, concat(',', CAST(length(national_number) AS STRING), ','))
      THEN concat('+', calling_code, national_number)
  END AS phone,
  date_of_birth,
  address,
  lower(nullif(trim(loyalty_tier), '')) AS loyalty_tier,
  marketing_consent,
  created_at,
  updated_at,
  _file_modification_time,
  _source_file,
  _row_number
FROM resolved
