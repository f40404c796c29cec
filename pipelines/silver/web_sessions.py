from lakehouse.dataset import ByKey, Column, Dataset, Subject

dataset = Dataset(
    name="silver.web_sessions",
    comment="Visits: the events of a customer, else of a device, without a pause of more than 30 minutes.",
    columns=(
        Column(
            "session_id",
            "STRING",
            "Digest of visitor_key and of the instant and id of the first event.",
            nullable=False,
        ),
        Column(
            "visitor_key", "STRING", "Digest of the customer id, else of the device id.", "subject_key", nullable=False
        ),
        Column("customer_id", "STRING", "Customer id; NULL for a visitor who was not signed in.", "subject_key"),
        Column("device_id", "STRING", "Device of the first event that names one.", "pii.device"),
        Column("started_at", "TIMESTAMP", "Instant of the first event.", nullable=False),
        Column("ended_at", "TIMESTAMP", "Instant of the last event.", nullable=False),
        Column("duration_seconds", "BIGINT", "Whole seconds from first to last event."),
        Column("events_count", "BIGINT", "Events of any type."),
        Column("page_views_count", "BIGINT", "Events page_view."),
        Column("clicks_count", "BIGINT", "Events click."),
        Column("searches_count", "BIGINT", "Events search."),
        Column("add_to_carts_count", "BIGINT", "Events add_to_cart."),
        Column("purchases_count", "BIGINT", "Events purchase."),
        Column("has_purchase", "BOOLEAN", "Whether there was a purchase: what conversion counts."),
        Column("entry_page_url", "STRING", "Page of the first event that names one.", "pii.url"),
        Column("exit_page_url", "STRING", "Page of the last event that names one.", "pii.url"),
        Column("referrer", "STRING", "Referrer of the first event; NULL for a direct visit.", "pii.url"),
        Column("device_type", "STRING", "Kind of device of the first event that names one, in lower case."),
        Column("browser", "STRING", "Browser or app of the first event that names one."),
    ),
    keys=("visitor_key", "session_id"),
    cluster_by=("started_at",),
    flow=ByKey(keys=("visitor_key",)),
    subject=Subject("customer_id"),
)
