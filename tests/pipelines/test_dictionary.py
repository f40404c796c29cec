"""The data dictionary is up to date, and says what a declaration says."""

from __future__ import annotations

from lakehouse.catalog import Catalog
from lakehouse.dataset import Action, ByKey, Column, Dataset, Expectation, NoSubject, Seed
from pipelines.catalog import load_catalog
from pipelines.dictionary import pages
from tests.fixtures.parts import PROJECT

FOLDER = PROJECT / "docs" / "dictionary"


def kept() -> dict[str, str]:
    return {page.name: page.read_text(encoding="utf-8") for page in FOLDER.iterdir()}


def test_the_kept_pages_are_up_to_date() -> None:
    assert kept() == pages(load_catalog()), "run make dictionary and look at the difference"


def test_every_column_stands_in_it_with_its_comment() -> None:
    for dataset in load_catalog():
        _, _, section = kept()[f"{dataset.layer}.md"].partition(f"## {dataset.name}\n")
        for column in dataset.columns:
            assert f"| `{column.name}` | `{column.type}`" in section, f"{dataset.name}.{column.name}"
            assert column.comment.replace("|", "\\|") in section


def test_what_is_declared_is_said() -> None:
    codes = Dataset(
        "reference.codes",
        "Codes.",
        (Column("code", "STRING", "A | B.", nullable=False),),
        Seed(lambda: None),  # type: ignore[arg-type, return-value]
        NoSubject("Codes; no person."),
        ("code",),
    )
    lower = Dataset(
        "silver.lower",
        "Lower codes.",
        (Column("code", "STRING", "In lower case.", nullable=False),),
        ByKey(("code",), {"reference.codes": ("lower(code)",)}),
        NoSubject("As above."),
        ("code",),
        (Expectation("short", "length(code) < 3 OR code LIKE 'x|%'", Action.DROP),),
        retention_days=30,
        query="SELECT lower(code) AS code FROM reference.codes",
    )
    found = pages(Catalog([codes, lower]))
    assert "| [`silver.lower`](silver.md#silverlower) | Lower codes. |" in found["README.md"]
    page = found["reference.md"] + found["silver.md"]
    assert "- **Fed by** its query, for the `code` that changed inputs touch" in page
    assert "- **Reads** `reference.codes`" in page
    assert "- **Kept** 30 days" in page
    assert "| `code` | `STRING` not null | `public` | A \\| B. |  |" in page
    assert "| `code` | `STRING` not null | `public` | In lower case. | `reference.codes.code` |" in page
    assert "| `short` | `length(code) < 3 OR code LIKE 'x\\|%'` | drop |" in page
