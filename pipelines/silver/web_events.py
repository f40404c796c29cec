from lakehouse.dataset import Action, ByKey, Column, Dataset, Expectation, Subject

dataset = Dataset(
    name="silver.web_events",
    comment="What visitors did, each event once: the newest version of each, cleaned.",
    columns=(
        Column("event_id", "STRING", "Event id, trimmed.", nullable=False),
        Column(
            "visitor_key",
            "STRING",
            "Digest of the customer id, else of the device id: whose sessions the event belongs to.",
            "subject_key",
            nullable=False,
        ),
        Column(
            "customer_id", "STRING", "Customer id, trimmed; NULL for a visitor who is not signed in.", "subject_key"
        ),
        Column("device_id", "STRING", "Id of the browser or app installation.", "pii.device"),
        Column("event_ts", "TIMESTAMP", "When it happened.", nullable=False),
        Column(
            "event_type",
            "STRING",
            "What happened, in lower case: page_view, click, search, add_to_cart, purchase or another word of the source.",
        ),
        Column("page_url", "STRING", "Address of the page.", "pii.url"),
        Column("referrer", "STRING", "Address of the page before; NULL for a direct visit.", "pii.url"),
        Column("device_type", "STRING", "Kind of device, in lower case."),
        Column("browser", "STRING", "Browser or app."),
    ),
    keys=("event_id",),
    cluster_by=("event_ts",),
    flow=ByKey(keys=("event_id",), inputs={"bronze.web_events": ("nullif(trim(event_id), '')",)}),
    subject=Subject("customer_id"),
    expectations=(
        Expectation("event_identified", "event_id IS NOT NULL", Action.QUARANTINE),
        Expectation("event_ts_present", "event_ts IS NOT NULL", Action.QUARANTINE),
        Expectation("visitor_known", "visitor_key IS NOT NULL", Action.QUARANTINE),
        Expectation("event_type_present", "event_type IS NOT NULL", Action.WARN),
    ),
)
