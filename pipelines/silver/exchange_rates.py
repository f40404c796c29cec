from lakehouse.dataset import ByKey, Column, Dataset, NoSubject

dataset = Dataset(
    name="silver.exchange_rates",
    comment="What one unit of a currency is worth in the reporting currency, and when.",
    columns=(
        Column("currency", "STRING", "ISO 4217 code.", nullable=False),
        Column("valid_from", "TIMESTAMP", "From when the rate holds.", nullable=False),
        Column("valid_until", "TIMESTAMP", "Until when it holds (exclusive); NULL for the newest."),
        Column("rate", "DECIMAL(16,8)", "Units of the reporting currency for one unit."),
    ),
    keys=("currency", "valid_from"),
    flow=ByKey(keys=("currency",), inputs={"bronze.exchange_rates": ("upper(nullif(trim(currency), ''))",)}),
    subject=NoSubject("Market rates; no person."),
)
