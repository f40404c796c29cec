from lakehouse.dataset import AutoLoader, Column, Dataset, Subject
from pipelines.sources import INGEST_COLUMNS, INGEST_EXPECTATIONS

dataset = Dataset(
    name="bronze.web_events",
    comment="What visitors did in the shop's web pages and apps, as web analytics exported it: append-only.",
    columns=(
        Column("event_id", "STRING", "Event id as written."),
        Column(
            "customer_id",
            "STRING",
            "Customer id as the source wrote it; NULL for a visitor who is not signed in.",
            "subject_key",
        ),
        Column("device_id", "STRING", "Id of the browser or app installation (cookie, advertising id).", "pii.device"),
        Column("event_ts", "TIMESTAMP", "When it happened."),
        Column("event_type", "STRING", "What happened, as written."),
        Column("page_url", "STRING", "Address of the page; its path and query may tell who looks for what.", "pii.url"),
        Column("referrer", "STRING", "Address of the page before, perhaps on another site.", "pii.url"),
        Column("device_type", "STRING", "Kind of device as written."),
        Column("browser", "STRING", "Browser or app as written."),
        *INGEST_COLUMNS,
    ),
    flow=AutoLoader(path="web/events/*.parquet", format="parquet", datasource="web"),
    subject=Subject("customer_id"),
    expectations=INGEST_EXPECTATIONS,
)
