from lakehouse.dataset import AutoLoader, Column, Dataset, NoSubject
from pipelines.sources import INGEST_COLUMNS, INGEST_EXPECTATIONS

dataset = Dataset(
    name="bronze.exchange_rates",
    comment="Exchange rates as finance exported them, append-only.",
    columns=(
        Column("currency", "STRING", "ISO 4217 code as written."),
        Column("valid_from", "DATE", "First day on which the rate holds."),
        Column("rate", "DECIMAL(16,8)", "Units of the reporting currency for one unit."),
        *INGEST_COLUMNS,
    ),
    flow=AutoLoader(path="finance/exchange_rates/*.csv", format="csv", datasource="finance"),
    subject=NoSubject("Market rates; no person."),
    expectations=INGEST_EXPECTATIONS,
)
