from lakehouse.dataset import ChangeFeed, Column, Dataset, Subject
from pipelines.sources import FEED_COLUMNS, INGEST_COLUMNS, INGEST_EXPECTATIONS

dataset = Dataset(
    name="bronze.support_tickets",
    comment="Support tickets as the help desk changed them: every change row, append-only.",
    columns=(
        Column("ticket_id", "STRING", "Ticket id as the source wrote it."),
        Column("customer_id", "STRING", "Customer id as the source wrote it.", "subject_key"),
        Column("subject", "STRING", "What the customer wrote as the subject.", "pii.free_text"),
        Column("body", "STRING", "What the customer wrote.", "pii.free_text"),
        Column("category", "STRING", "What it is about, as written."),
        Column("priority", "STRING", "Priority as written."),
        Column("status", "STRING", "Status as written."),
        Column("created_at", "TIMESTAMP", "When the ticket was opened."),
        Column("updated_at", "TIMESTAMP", "When the help desk wrote this version."),
        Column("resolved_at", "TIMESTAMP", "When it was resolved."),
        Column("agent_id", "STRING", "Member of staff it is assigned to, as the help desk names them."),
        Column("satisfaction_score", "INT", "What the customer answered, 1 to 5."),
        *FEED_COLUMNS,
        *INGEST_COLUMNS,
    ),
    flow=ChangeFeed(path="support/tickets", datasource="support", keys=("ticket_id",)),
    subject=Subject("customer_id"),
    expectations=INGEST_EXPECTATIONS,
)
