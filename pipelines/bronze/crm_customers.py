from lakehouse.dataset import AutoLoader, Column, Dataset, Subject
from pipelines.sources import INGEST_COLUMNS, INGEST_EXPECTATIONS

dataset = Dataset(
    name="bronze.crm_customers",
    comment="Customer records as the CRM exported them: every version, append-only.",
    columns=(
        Column("customer_id", "STRING", "Customer id as the source wrote it.", "subject_key"),
        Column("email", "STRING", "E-mail address as written.", "pii.email"),
        Column("first_name", "STRING", "Given name.", "pii.name"),
        Column("last_name", "STRING", "Family name.", "pii.name"),
        Column("phone", "STRING", "Telephone number as written.", "pii.phone"),
        Column("date_of_birth", "DATE", "Date of birth.", "pii.birth_date"),
        Column(
            "address",
            "STRUCT<street: STRING, city: STRING, state: STRING, postal_code: STRING, country: STRING>",
            "Postal address; country as ISO 3166-1 alpha-2 where the CRM knows it.",
            "pii.address",
        ),
        Column("loyalty_tier", "STRING", "Loyalty tier as written."),
        Column("marketing_consent", "BOOLEAN", "Whether the customer agreed to marketing."),
        Column("created_at", "TIMESTAMP", "When the CRM created the customer."),
        Column("updated_at", "TIMESTAMP", "When the CRM wrote this version."),
        *INGEST_COLUMNS,
    ),
    flow=AutoLoader(path="crm/customers/*.json", format="json", datasource="crm"),
    subject=Subject("customer_id"),
    expectations=INGEST_EXPECTATIONS,
)
