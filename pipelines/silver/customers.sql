SELECT
  customer_id,
  email,
  first_name,
  last_name,
  phone,
  date_of_birth,
  address,
  loyalty_tier,
  marketing_consent,
  created_at,
  updated_at,
  __START_AT AS valid_from
FROM silver.customers_history
WHERE __END_AT IS NULL
