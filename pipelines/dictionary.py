"""The data dictionary: every table and column, in words, from the declarations; kept in docs/dictionary, a page per layer.

``python -m pipelines.dictionary docs/dictionary`` writes it anew; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from governance.lineage import ColumnLink, Lineage, lineage_of
from lakehouse.catalog import Catalog
from lakehouse.dataset import (
    AutoCdc,
    AutoLoader,
    ByKey,
    ChangeFeed,
    Column,
    Dataset,
    Exported,
    Flow,
    Full,
    Reached,
    Recorded,
    Seed,
    Subject,
)
from pipelines.catalog import load_catalog
from pipelines.flows.derive import rows_sql

_HEAD = """# Data dictionary

Written by `make dictionary` from the declarations in `pipelines/`; do not edit. A column's class says who may read it: `pii.*` needs
`profiles:read:pii`, `subject_key` is the pseudonymous customer id, `public` is neither. *From* names the columns whose values it
holds or is computed from, or else those that decide which value it is; filters and joins are in `system.access.column_lineage`.
"""


def pages(catalog: Catalog) -> dict[str, str]:
    """The dictionary as Markdown pages by file name: the same text for the same declarations."""
    layers: dict[str, list[Dataset]] = {}
    for dataset in sorted(catalog, key=lambda dataset: dataset.name):
        layers.setdefault(dataset.layer, []).append(dataset)
    found = {"README.md": f"{_HEAD}\n{_contents(layers)}"}
    for layer, datasets in layers.items():
        parts = [_dataset(dataset, lineage_of(dataset, catalog, rows_sql)) for dataset in datasets]
        found[f"{layer}.md"] = "\n".join([f"# Data dictionary: {layer}\n", *parts])
    return found


def _contents(layers: dict[str, list[Dataset]]) -> str:
    rows = (
        (f"[`{dataset.name}`]({dataset.layer}.md#{_anchor(dataset.name)})", dataset.comment)
        for datasets in layers.values()
        for dataset in datasets
    )
    return _table(("Table", "What it holds"), rows)


def _dataset(dataset: Dataset, lineage: Lineage) -> str:
    facts = [f"- **Fed by** {_flow(dataset.flow)}"]
    if lineage.tables:
        facts.append(f"- **Reads** {_code(lineage.tables)}")
    if dataset.keys:
        facts.append(f"- **Key** {_code(dataset.keys)}")
    if isinstance(dataset.subject, Subject):
        facts.append(f"- **Person** the customer in `{dataset.subject.column}`")
    else:
        facts.append(f"- **Person** none. {dataset.subject.reason}")
    if dataset.retention_days is not None:
        facts.append(f"- **Kept** {dataset.retention_days} days")
    if dataset.cluster_by:
        facts.append(f"- **Clustered by** {_code(dataset.cluster_by)}")
    if dataset.serving is not None:
        facts.append(f"- **Served** by `{dataset.serving.key}` under `/{dataset.serving.path}`")
    parts = [f"## {dataset.name}\n", f"{dataset.comment}\n", "\n".join(facts) + "\n", _columns(dataset, lineage)]
    if dataset.expectations:
        rules = ((f"`{rule.name}`", f"`{_cell(rule.predicate)}`", rule.action.value) for rule in dataset.expectations)
        parts.append(_table(("Expectation", "Holds where", "Otherwise"), rules))
    return "\n".join(parts)


def _columns(dataset: Dataset, lineage: Lineage) -> str:
    rows = (
        (
            f"`{column.name}`",
            f"`{_cell(column.type)}`" + ("" if column.nullable else " not null"),
            f"`{column.cls}`",
            _cell(column.comment),
            _sources(column, lineage),
        )
        for column in dataset.columns
    )
    return _table(("Column", "Type", "Class", "Meaning", "From"), rows)


def _sources(column: Column, lineage: Lineage) -> str:
    links = [link for link in lineage.columns if link.target == column.name]
    if direct := {_name(link, lineage) for link in links if link.influence.is_direct}:
        return _code(sorted(direct), between="<br>")
    deciding = {_name(link, lineage) for link in links}
    return f"decided by {_code(sorted(deciding), between='<br>')}" if deciding else ""


def _name(link: ColumnLink, lineage: Lineage) -> str:
    return link.source_column if lineage.path is not None else f"{link.source}.{link.source_column}"


def _flow(flow: Flow) -> str:
    match flow:
        case AutoLoader():
            told = f"files `{flow.path}` ({flow.format}) of {flow.datasource}, appended once each"
        case ChangeFeed():
            told = f"the change feed of the Delta table `{flow.path}` of {flow.datasource}, each commit appended once"
        case AutoCdc():
            kind = "newest state" if flow.stored_as_scd_type == 1 else "history"
            told = f"AUTO CDC by {_code(flow.keys)}: the {kind}, in the order of {_code(flow.sequence_by)}"
        case ByKey():
            reached = [name for name, keys in sorted(flow.inputs.items()) if isinstance(keys, Reached)]
            also = f"; {_code(reached)} through what its changes reach" if reached else ""
            told = f"its query, for the {_code(flow.keys)} that changed inputs touch{also}"
        case Full():
            told = "its query as a whole, of which the rows that differ are written"
        case Seed():
            told = "the code: reference data"
        case Exported():
            told = "what the installation records elsewhere, appended once"
        case Recorded():
            told = "the runs of other tables"
    return told


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _code(names: Sequence[str], between: str = ", ") -> str:
    return between.join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _anchor(title: str) -> str:
    """GitHub's anchor of a heading."""
    return title.replace(".", "")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, text in pages(load_catalog()).items():
        (folder / name).write_text(text, encoding="utf-8")
