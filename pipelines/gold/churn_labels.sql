SELECT
  features.customer_id,
  features.as_of,
  CASE
    WHEN CAST(features.as_of AS TIMESTAMP) + INTERVAL 90 DAYS <= CAST(:as_of AS TIMESTAMP)
    THEN count(sale.order_id) = 0
  END AS churned
FROM gold.churn_features AS features
LEFT JOIN silver.orders AS sale
  ON sale.customer_id = features.customer_id
  AND sale.order_ts >= CAST(features.as_of AS TIMESTAMP)
  AND sale.order_ts < CAST(features.as_of AS TIMESTAMP) + INTERVAL 90 DAYS
GROUP BY features.customer_id, features.as_of
