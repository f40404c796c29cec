-- One row per version of a ticket; the flow keeps the newest. A delete carries the last image: it stays, marked.
-- Within one commit a row that is there afterwards counts over one that is gone (is_alive).
WITH versions AS (
  SELECT
    *,
    _source_change_type = 'delete' AS is_deleted,
    CASE replace(replace(lower(trim(status)), ' ', '_'), '-', '_')
      WHEN 'new' THEN 'new'
      WHEN 'open' THEN 'open'
      WHEN 'reopened' THEN 'open'
      WHEN 'in_progress' THEN 'open'
      WHEN 'pending' THEN 'pending'
      WHEN 'waiting' THEN 'pending'
      WHEN 'waiting_for_customer' THEN 'pending'
      WHEN 'on_hold' THEN 'on_hold'
      WHEN 'hold' THEN 'on_hold'
      WHEN 'resolved' THEN 'resolved'
      WHEN 'solved' THEN 'resolved'
      WHEN 'closed' THEN 'closed'
      WHEN 'done' THEN 'closed'
    END AS clean_status
  FROM bronze.support_tickets
  WHERE _source_change_type <> 'update_preimage'
)
SELECT
  nullif(trim(ticket_id), '') AS ticket_id,
  nullif(trim(customer_id), '') AS customer_id,
  nullif(trim(subject), '') AS subject,
  nullif(trim(body), '') AS body,
  replace(replace(lower(nullif(trim(category), '')), ' ', '_'), '-', '_') AS category,
  CASE lower(trim(priority))
    WHEN 'low' THEN 'low'
    WHEN 'minor' THEN 'low'
    WHEN 'p4' THEN 'low'
    WHEN 'medium' THEN 'medium'
    WHEN 'normal' THEN 'medium'
    WHEN 'p3' THEN 'medium'
    WHEN 'high' THEN 'high'
    WHEN 'major' THEN 'high'
    WHEN 'p2' THEN 'high'
    WHEN 'critical' THEN 'critical'
    WHEN 'urgent' THEN 'critical'
    WHEN 'p1' THEN 'critical'
  END AS priority,
  clean_status AS status,
  clean_status NOT IN ('resolved', 'closed') AND NOT is_deleted AS is_open,
  created_at,
  updated_at,
  resolved_at,
  nullif(trim(agent_id), '') AS agent_id,
  satisfaction_score,
  is_deleted,
  CASE WHEN is_deleted THEN _source_commit_timestamp END AS deleted_at,
  _source_generation,
  _source_commit_version,
  CASE WHEN is_deleted THEN 0 ELSE 1 END AS is_alive,
  _source_file,
  _file_modification_time,
  _row_number,
  _correction
FROM versions
