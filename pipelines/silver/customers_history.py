from lakehouse.dataset import Action, AutoCdc, Column, Dataset, Expectation, Subject

dataset = Dataset(
    name="silver.customers_history",
    comment="Every state a customer record has had, each with the time it held (SCD type 2).",
    columns=(
        Column("customer_id", "STRING", "Customer id, trimmed.", "subject_key", nullable=False),
        Column("email", "STRING", "E-mail address, trimmed and in lower case.", "pii.email"),
        Column("first_name", "STRING", "Given name.", "pii.name"),
        Column("last_name", "STRING", "Family name.", "pii.name"),
        Column(
            "phone",
            "STRING",
            "Telephone number in E.164, NULL where it is not a possible number of its country.",
            "pii.phone",
        ),
        Column("date_of_birth", "DATE", "Date of birth.", "pii.birth_date"),
        Column(
            "address",
            "STRUCT<street: STRING, city: STRING, state: STRING, postal_code: STRING, country: STRING>",
            "Postal address.",
            "pii.address",
        ),
        Column("loyalty_tier", "STRING", "Loyalty tier in lower case."),
        Column("marketing_consent", "BOOLEAN", "Whether the customer agreed to marketing."),
        Column("created_at", "TIMESTAMP", "When the CRM created the customer."),
        Column("updated_at", "TIMESTAMP", "When the CRM last wrote this state."),
        Column("__START_AT", "TIMESTAMP", "From when the state held.", nullable=False),
        Column("__END_AT", "TIMESTAMP", "Until when it held (exclusive); NULL for the current state."),
    ),
    keys=("customer_id", "__START_AT"),
    flow=AutoCdc(
        keys=("customer_id",),
        sequence_by=("updated_at", "_file_modification_time", "_source_file", "_row_number", "_correction"),
        stored_as_scd_type=2,
        track_history_except_column_list=("updated_at",),
        inputs={"bronze.crm_customers": ("nullif(trim(customer_id), '')",), "reference.calling_codes": ()},
    ),
    subject=Subject("customer_id"),
    expectations=(
        Expectation("customer_id_present", "customer_id IS NOT NULL", Action.QUARANTINE),
        Expectation("updated_at_present", "updated_at IS NOT NULL", Action.QUARANTINE),
    ),
)
