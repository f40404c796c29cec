WITH mentions AS (
  SELECT nullif(trim(customer_id), '') AS customer_id, _datasource AS source FROM bronze.crm_customers
  UNION
  SELECT nullif(trim(customer_id), '') AS customer_id, _datasource AS source FROM bronze.ecommerce_orders
  UNION
  SELECT nullif(trim(customer_id), '') AS customer_id, _datasource AS source FROM bronze.support_tickets
  UNION
  SELECT nullif(trim(customer_id), '') AS customer_id, _datasource AS source FROM bronze.web_events
)
SELECT customer_id, array_sort(collect_list(source)) AS sources
FROM mentions
WHERE customer_id IS NOT NULL
GROUP BY customer_id
