"""A wrong declaration is refused with a message from which its author knows what to write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.catalog import Catalog, UnknownDataset, definition
from lakehouse.dataset import (
    Action,
    AutoCdc,
    AutoLoader,
    ByKey,
    Column,
    Dataset,
    Expectation,
    InvalidDeclaration,
    NoSubject,
    Reached,
    Seed,
    Serving,
    Subject,
)

ID = Column("customer_id", "STRING", "Customer id.", "subject_key", nullable=False)
NAME = Column("name", "STRING", "Name.", "pii.name")
AT = Column("at", "TIMESTAMP", "Instant.")

BRONZE = Dataset(
    name="bronze.people",
    comment="People.",
    columns=(Column("customer_id", "STRING", "Customer id.", "subject_key"), NAME, AT),
    flow=AutoLoader(path="people/*.json", format="json", datasource="crm"),
    subject=Subject("customer_id"),
)
SILVER = Dataset(
    name="silver.people",
    comment="People.",
    columns=(ID, NAME),
    flow=ByKey(keys=("customer_id",)),
    subject=Subject("customer_id"),
    keys=("customer_id",),
    query="SELECT customer_id, name FROM bronze.people",
)
HISTORY = Dataset(
    name="silver.history",
    comment="History.",
    columns=(
        ID,
        NAME,
        Column("__START_AT", "TIMESTAMP", "From when.", nullable=False),
        Column("__END_AT", "TIMESTAMP", "Until when."),
    ),
    flow=AutoCdc(keys=("customer_id",), sequence_by=("at",), stored_as_scd_type=2),
    subject=Subject("customer_id"),
    keys=("customer_id", "__START_AT"),
    expectations=(Expectation("sequence_present", "at IS NOT NULL", Action.QUARANTINE),),
    query="SELECT customer_id, name, at FROM bronze.people",
)


def silver(**changes: Any) -> Dataset:
    return replace(SILVER, **changes)


def bronze(**changes: Any) -> Dataset:
    return replace(BRONZE, **changes)


def history(flow: dict[str, Any] | None = None, **changes: Any) -> Dataset:
    return replace(HISTORY, flow=replace(HISTORY.flow, **(flow or {})), **changes)


def with_column(*columns: Column) -> Dataset:
    return silver(columns=(*SILVER.columns, *columns))


WRONG = {
    "bad_name": (silver(name="People"), r"People: a dataset is named <layer>\.<noun>"),
    "no_comment": (silver(comment=" "), r"silver\.people: a dataset .* has a comment"),
    "column_without_comment": (with_column(Column("tier", "STRING", "")), r"silver\.people\.tier has no comment"),
    "column_twice": (with_column(Column("NAME", "STRING", "Again.")), r"silver\.people: a column is declared twice"),
    "unknown_type": (
        with_column(Column("tier", "VARCHAR2", "Tier.")),
        r"silver\.people\.tier: VARCHAR2 is not a column type here; write one of .*STRING",
    ),
    "column_with_a_space": (
        with_column(Column("net amount", "STRING", "Amount.")),
        r"silver\.people: 'net amount' cannot be a column's name",
    ),
    "column_named_as_sql": (
        with_column(Column("select", "STRING", "Choice.")),
        r"silver\.people: 'select' cannot be a column's name",
    ),
    "personal_key": (silver(keys=("name",)), r"silver\.people\.name is personal: it can be neither key nor clustering"),
    "personal_clustering": (silver(cluster_by=("name",)), r"silver\.people\.name is personal"),
    "key_that_is_no_column": (
        silver(keys=("id",)),
        r"silver\.people has no column id; it has customer_id, name",
    ),
    "nullable_key": (
        silver(columns=(replace(ID, nullable=True), NAME)),
        r"silver\.people\.customer_id is a key: declare it nullable=False",
    ),
    "subject_of_another_class": (
        silver(columns=(replace(ID, cls="public"), NAME)),
        r"silver\.people\.customer_id links to the subject: its class is subject_key",
    ),
    "subject_that_is_no_column": (silver(subject=Subject("person")), r"silver\.people has no column person"),
    "customer_without_subject": (
        silver(subject=NoSubject("none")),
        r"silver\.people\.customer_id names a customer: declare subject=Subject\('customer_id'\)",
    ),
    "no_reason": (
        silver(columns=(replace(ID, cls="public"), NAME), subject=NoSubject(" ")),
        r"silver\.people: write the reason why",
    ),
    "expectation_twice": (
        silver(expectations=(Expectation("named", "name IS NOT NULL"), Expectation("named", "name <> ''"))),
        r"silver\.people: two expectations have the same name",
    ),
    "expectation_that_is_no_expression": (
        silver(expectations=(Expectation("named", "name IS NOT NULL; DROP TABLE x"),)),
        r"silver\.people: expectation named: ",
    ),
    "query_of_files": (
        bronze(query="SELECT 1 AS x"),
        r"bronze\.people is not computed by a query; remove the \.sql file",
    ),
    "bronze_that_drops": (
        bronze(expectations=(Expectation("named", "name IS NOT NULL", Action.DROP),)),
        r"bronze\.people keeps every row: its expectations can only warn; drop or quarantine in silver",
    ),
    "unknown_file_format": (
        bronze(flow=AutoLoader("people/*.xml", "xml", "crm")),
        r"bronze\.people: there is no file format xml; write json, csv, parquet",
    ),
    "no_query": (silver(query=None), r"silver\.people has no query; write it as Spark SQL beside the module"),
    "query_that_is_no_sql": (silver(query="SELECT FROM WHERE"), r"silver\.people: its query: "),
    "query_that_writes": (
        silver(query="DELETE FROM bronze.people"),
        r"silver\.people: its query: DELETE is not a query",
    ),
    "no_keys": (silver(keys=()), r"silver\.people: a computed dataset declares the keys that tell its rows apart"),
    "flow_without_keys": (silver(flow=ByKey(keys=())), r"silver\.people: the flow names the keys"),
    "flow_key_outside_the_keys": (
        silver(
            columns=(ID, NAME, Column("tier", "STRING", "Tier.")),
            flow=ByKey(keys=("tier",), inputs={"bronze.people": ("name",)}),
        ),
        r"silver\.people: the flow computes by tier, so it has to be one of the keys",
    ),
    "unknown_input": (
        silver(query="SELECT customer_id, name FROM bronze.persons"),
        r"silver\.people reads bronze\.persons, which is not declared",
    ),
    "input_without_the_key": (
        silver(
            columns=(replace(ID, name="person_id"), NAME),
            keys=("person_id",),
            flow=ByKey(keys=("person_id",)),
            subject=Subject("person_id"),
            query="SELECT customer_id AS person_id, name FROM bronze.people",
        ),
        r"silver\.people: bronze\.people has no column person_id; say in the flow's inputs which expressions yield the key there",
    ),
    "key_expression_over_an_absent_column": (
        silver(flow=ByKey(keys=("customer_id",), inputs={"bronze.people": ("trim(cust)",)})),
        r"silver\.people: bronze\.people has no column cust",
    ),
    "too_many_key_expressions": (
        silver(flow=ByKey(keys=("customer_id",), inputs={"bronze.people": ("customer_id", "name")})),
        r"silver\.people: the flow's inputs give 2 expressions over bronze\.people for the keys customer_id",
    ),
    "key_expression_that_is_none": (
        silver(flow=ByKey(keys=("customer_id",), inputs={"bronze.people": ("trim(",)})),
        r"silver\.people: the flow's inputs for bronze\.people: ",
    ),
    "inputs_of_another_query": (
        silver(flow=ByKey(keys=("customer_id",), inputs={"bronze.peeple": ("customer_id",)})),
        r"silver\.people: the flow's inputs name bronze\.peeple, which the query does not read; it reads bronze\.people",
    ),
    "reached_by_a_query_of_another_table": (
        silver(
            flow=ByKey(
                keys=("customer_id",),
                inputs={
                    "bronze.people": Reached("SELECT changed.name AS customer_id FROM bronze.x JOIN changed ON true")
                },
            )
        ),
        r"silver\.people: the query by which bronze\.people is reached reads other inputs of the dataset, of which there are none",
    ),
    "reached_without_the_changed_rows": (
        silver(
            query="SELECT p.customer_id, p.name FROM bronze.people AS p JOIN silver.history AS h ON h.customer_id = p.customer_id",
            flow=ByKey(
                keys=("customer_id",),
                inputs={"silver.history": Reached("SELECT customer_id FROM bronze.people")},
            ),
        ),
        r"silver\.people: the query by which silver\.history is reached joins the view changed, whose columns are customer_id",
    ),
    "third_scd_type": (history({"stored_as_scd_type": 3}), r"silver\.history: stored_as_scd_type is 1 .* or 2"),
    "no_sequence": (history({"sequence_by": ()}), r"silver\.history: sequence_by names the columns"),
    "untracked_column_that_is_none": (
        history({"track_history_except_column_list": ("at",)}),
        r"silver\.history has no column at",
    ),
    "sequence_that_may_be_null": (
        history(expectations=()),
        r"silver\.history: a version without at has no place .* declare Expectation\('sequence_present', 'at IS NOT NULL'",
    ),
    "sequence_that_is_only_warned_of": (
        history(expectations=(Expectation("sequence_present", "at IS NOT NULL", Action.WARN),)),
        r"silver\.history: a version without at has no place",
    ),
    "deletes_that_are_no_condition": (
        history({"apply_as_deletes": "rand() > 1"}),
        r"silver\.history: apply_as_deletes: rand is not in the language",
    ),
    "stored_and_excepted": (
        history({"except_column_list": ("name",)}),
        r"silver\.history: name cannot be both declared and in except_column_list",
    ),
    "history_without_its_end": (history(columns=HISTORY.columns[:-1]), r"silver\.history has no column __END_AT"),
    "history_keyed_as_current": (
        history(keys=("customer_id",)),
        r"silver\.history: its rows are told apart by keys=\('customer_id', '__START_AT'\)",
    ),
    "served_by_a_personal_key": (
        silver(serving=Serving(key="name", path="people")),
        r"silver\.people\.name: a serving key stands in URLs",
    ),
    "served_by_another_key": (
        silver(
            columns=(*SILVER.columns, Column("tier", "STRING", "Tier.")), serving=Serving(key="tier", path="people")
        ),
        r"silver\.people is served by tier: declare keys=\('tier',\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_declaration_is_refused_by_name(case: str) -> None:
    wrong, message = WRONG[case]
    others = [dataset for dataset in (BRONZE, HISTORY) if dataset.name != wrong.name]
    with pytest.raises(InvalidDeclaration, match=message):
        Catalog([*others, wrong])


def test_the_declarations_that_the_wrong_ones_are_made_of_pass() -> None:
    assert next(dataset.name for dataset in Catalog([HISTORY, SILVER, BRONZE])) == "bronze.people"


def test_two_datasets_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidDeclaration, match=r"bronze\.people is declared twice"):
        Catalog([BRONZE, BRONZE])


def test_two_datasets_served_under_one_path_are_refused() -> None:
    served = silver(serving=Serving(key="customer_id", path="people"))
    with pytest.raises(InvalidDeclaration, match="two datasets are served under people"):
        Catalog([BRONZE, served, replace(served, name="silver.persons")])


def test_datasets_that_feed_each_other_are_refused_with_the_circle() -> None:
    first = silver(name="silver.first", query="SELECT customer_id, name FROM silver.second")
    second = silver(name="silver.second", query="SELECT customer_id, name FROM silver.first")
    with pytest.raises(
        InvalidDeclaration, match=r"feed each other in a circle: silver\.\w+ → silver\.\w+ → silver\.\w+"
    ):
        Catalog([first, second])


def test_every_dataset_comes_after_its_inputs() -> None:
    gold = silver(name="gold.people", query="SELECT customer_id, name FROM silver.people")
    catalog = Catalog([gold, SILVER, BRONZE])
    assert [dataset.name for dataset in catalog] == ["bronze.people", "silver.people", "gold.people"]
    assert catalog.inputs(gold) == ("silver.people",)


def test_an_unknown_dataset_is_answered_with_the_declared_ones() -> None:
    with pytest.raises(
        UnknownDataset, match=r"there is no dataset gold\.people; declared are bronze\.people, silver\.people"
    ):
        Catalog([BRONZE, SILVER]).get("gold.people")


def test_the_definition_follows_what_decides_the_rows_only() -> None:
    assert definition(silver(retention_days=30)) == definition(SILVER)
    assert definition(silver(query=f"{SILVER.query} WHERE name <> ''")) != definition(SILVER)
    assert definition(silver(expectations=(Expectation("named", "name <> ''", Action.DROP),))) != definition(SILVER)


def test_the_definition_of_a_seed_follows_its_rows() -> None:
    def seed(*values: str) -> Dataset:
        return Dataset(
            name="reference.values",
            comment="Values.",
            columns=(Column("value", "STRING", "Value.", nullable=False),),
            flow=Seed(lambda: pa.table({"value": list(values)})),
            subject=NoSubject("made up"),
        )

    assert definition(seed("a")) == definition(seed("a"))
    assert definition(seed("a")) != definition(seed("b"))
