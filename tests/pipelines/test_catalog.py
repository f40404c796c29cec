"""The datasets of this installation, and how a newcomer adds one: two small files and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import pipelines.gold
from governance.classification import PII_CLASSES
from lakehouse.dataset import Column, Dataset, InvalidDeclaration, NoSubject, Recorded
from lakehouse.query import run_query
from pipelines.catalog import check_classes, load_catalog
from tests.platform import Platform

AS_OF = date(2026, 3, 1)
SHIPPED = [dataset.name for dataset in load_catalog()]

TIER_SIZES = """
from lakehouse.dataset import ByKey, Column, Dataset, NoSubject

dataset = Dataset(
    name="gold.tier_sizes",
    comment="How many customers each loyalty tier has.",
    columns=(
        Column("loyalty_tier", "STRING", "Loyalty tier.", nullable=False),
        Column("customers_count", "BIGINT", "Customers in it."),
    ),
    keys=("loyalty_tier",),
    flow=ByKey(keys=("loyalty_tier",)),
    subject=NoSubject("Counts; no row is about a person."),
)
"""
TIER_SIZES_SQL = """
SELECT loyalty_tier, count(*) AS customers_count
FROM silver.customers
WHERE loyalty_tier IS NOT NULL
GROUP BY loyalty_tier
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files count as lying in pipelines/gold."""
    folder = tmp_path / "gold"
    folder.mkdir()
    monkeypatch.setattr(pipelines.gold, "__path__", [*pipelines.gold.__path__, str(folder)])
    known = set(sys.modules)
    load_catalog.cache_clear()
    yield folder
    load_catalog.cache_clear()
    for name in set(sys.modules) - known:
        if name.startswith("pipelines.gold."):
            del sys.modules[name]
            vars(pipelines.gold).pop(name.rpartition(".")[2], None)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_dataset_is_declared_whole(name: str) -> None:
    dataset = load_catalog().get(name)
    check_classes(dataset)
    assert dataset.comment.endswith(".")
    for column in dataset.columns:
        assert column.comment.endswith("."), column.name
        assert not (column.is_pii and column.name in dataset.statistics_columns)


def test_all_layers_are_found() -> None:
    assert {name.partition(".")[0] for name in SHIPPED} == {
        "reference",
        "bronze",
        "silver",
        "gold",
        "quality",
        "system",
    }


class TestClasses:
    def dataset(self, column: Column) -> Dataset:
        return Dataset("gold.x", "X.", (column,), Recorded(), NoSubject("made up"))

    @pytest.mark.parametrize(
        "name", ["email", "home_phone", "first_name", "street", "postal_code", "date_of_birth", "ip", "_rescued_data"]
    )
    def test_a_column_that_looks_personal_needs_a_class(self, name: str) -> None:
        plain = Column(name, "STRING", "Something.")
        with pytest.raises(InvalidDeclaration, match=rf"gold\.x\.{name} looks personal; give it a pii\.\* class"):
            check_classes(self.dataset(plain))
        check_classes(self.dataset(replace(plain, cls="pii.raw")))

    def test_a_class_nobody_defined_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(
            InvalidDeclaration, match=rf"gold\.x\.tier: there is no class pii\.emial; .*{PII_CLASSES[0]}"
        ):
            check_classes(self.dataset(Column("tier", "STRING", "Tier.", "pii.emial")))


class TestFiles:
    def test_a_query_without_a_module_is_refused(self, folder: Path) -> None:
        (folder / "tier_sizes.sql").write_text(TIER_SIZES_SQL)
        with pytest.raises(
            InvalidDeclaration, match=r"tier_sizes\.sql in gold/ has no module beside it: declare gold\.tier_sizes"
        ):
            load_catalog()

    def test_a_module_without_its_query_is_refused(self, folder: Path) -> None:
        (folder / "tier_sizes.py").write_text(TIER_SIZES)
        with pytest.raises(
            InvalidDeclaration, match=r"gold\.tier_sizes has no query; write it as Spark SQL beside the module"
        ):
            load_catalog()

    def test_a_module_that_declares_nothing_is_refused(self, folder: Path) -> None:
        (folder / "tier_sizes.py").write_text("size = 1\n")
        with pytest.raises(
            InvalidDeclaration, match=r"pipelines\.gold\.tier_sizes declares no dataset: it needs `dataset ="
        ):
            load_catalog()

    def test_a_module_that_declares_another_name_is_refused(self, folder: Path) -> None:
        (folder / "tiers.py").write_text(TIER_SIZES)
        (folder / "tiers.sql").write_text(TIER_SIZES_SQL)
        with pytest.raises(
            InvalidDeclaration, match=r"pipelines\.gold\.tiers must declare gold\.tiers, not gold\.tier_sizes"
        ):
            load_catalog()


def test_a_folder_within_a_layer_is_a_part_of_the_name(folder: Path) -> None:
    (folder / "sizes").mkdir()
    (folder / "sizes" / "__init__.py").touch()
    (folder / "sizes" / "tier_sizes.sql").write_text(TIER_SIZES_SQL)
    with pytest.raises(InvalidDeclaration, match=r"tier_sizes\.sql in gold/sizes/ has no module beside it"):
        load_catalog()
    (folder / "sizes" / "tier_sizes.py").write_text(TIER_SIZES.replace("gold.tier", "gold.sizes.tier"))
    assert load_catalog().inputs(load_catalog().get("gold.sizes.tier_sizes")) == ("silver.customers",)


def test_a_newcomer_adds_a_table_with_two_small_files(folder: Path, tmp_path: Path) -> None:
    records = [("c1", "gold"), ("c2", "GOLD "), ("c3", "basic"), ("c4", None)]
    with Platform(tmp_path / "home") as before:
        crm = before.landing / "crm" / "customers" / "1.json"
        crm.parent.mkdir(parents=True)
        crm.write_text("".join(_record(customer, tier) for customer, tier in records))
        before.run(AS_OF)

    (folder / "tier_sizes.py").write_text(TIER_SIZES)
    (folder / "tier_sizes.sql").write_text(TIER_SIZES_SQL)
    load_catalog.cache_clear()

    with Platform(tmp_path / "home") as platform:
        record = platform.run(AS_OF)
        assert [flow.dataset for flow in record.datasets if flow.rows_written] == ["gold.tier_sizes"]
        assert sizes(platform) == [("basic", 1), ("gold", 2)]
        crm.with_name("2.json").write_text(_record("c3", "gold", day=2))
        platform.run(AS_OF)
        assert sizes(platform) == [("gold", 3)]


def sizes(platform: Platform) -> list[tuple[str, int]]:
    with platform.installation.engine() as engine:
        catalog = platform.installation.catalog
        rows = run_query(engine, catalog, "SELECT * FROM gold.tier_sizes ORDER BY loyalty_tier", AS_OF).rows.to_pylist()
    return [(row["loyalty_tier"], row["customers_count"]) for row in rows]


def _record(customer: str, tier: str | None, day: int = 1) -> str:
    quoted = "null" if tier is None else f'"{tier}"'
    return f'{{"customer_id": "{customer}", "loyalty_tier": {quoted}, "updated_at": "2026-01-0{day}"}}\n'
