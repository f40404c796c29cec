from lakehouse.dataset import Action, AutoCdc, Column, Dataset, Expectation, Subject

dataset = Dataset(
    name="silver.support_tickets",
    comment="The newest state of every support ticket; one that the help desk deleted stays, marked as deleted.",
    columns=(
        Column("ticket_id", "STRING", "Ticket id, trimmed.", nullable=False),
        Column("customer_id", "STRING", "Customer id, trimmed; NULL where the ticket names none.", "subject_key"),
        Column("subject", "STRING", "What the customer wrote as the subject.", "pii.free_text"),
        Column("body", "STRING", "What the customer wrote.", "pii.free_text"),
        Column("category", "STRING", "What it is about, in lower case with underscores."),
        Column("priority", "STRING", "low, medium, high or critical."),
        Column("status", "STRING", "new, open, pending, on_hold, resolved or closed."),
        Column("is_open", "BOOLEAN", "Whether it is neither resolved, closed nor deleted.", nullable=False),
        Column("created_at", "TIMESTAMP", "When the ticket was opened."),
        Column("updated_at", "TIMESTAMP", "When the help desk last wrote it."),
        Column("resolved_at", "TIMESTAMP", "When it was resolved, as the help desk says."),
        Column("agent_id", "STRING", "Member of staff it is assigned to."),
        Column("satisfaction_score", "INT", "What the customer answered, 1 (bad) to 5 (good)."),
        Column("is_deleted", "BOOLEAN", "Whether the help desk has deleted it.", nullable=False),
        Column("deleted_at", "TIMESTAMP", "When it was deleted; NULL while it lives."),
    ),
    keys=("ticket_id",),
    flow=AutoCdc(
        keys=("ticket_id",),
        sequence_by=(
            "_source_generation",
            "_source_commit_version",
            "is_alive",
            "_source_file",
            "_row_number",
            "_correction",
        ),
        inputs={"bronze.support_tickets": ("nullif(trim(ticket_id), '')",)},
    ),
    subject=Subject("customer_id"),
    expectations=(
        Expectation("sequence_present", "_source_generation IS NOT NULL", Action.QUARANTINE),
        Expectation("ticket_id_present", "ticket_id IS NOT NULL", Action.QUARANTINE),
        Expectation("priority_known", "is_deleted OR priority IS NOT NULL", Action.QUARANTINE),
        Expectation("status_known", "is_deleted OR status IS NOT NULL", Action.QUARANTINE),
        Expectation(
            "satisfaction_in_range",
            "is_deleted OR satisfaction_score IS NULL OR satisfaction_score BETWEEN 1 AND 5",
            Action.QUARANTINE,
        ),
        Expectation("created_at_present", "is_deleted OR created_at IS NOT NULL", Action.WARN),
    ),
)
