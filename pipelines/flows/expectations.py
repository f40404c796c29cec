"""Expectations with Lakeflow's meaning: a condition that is not TRUE (false or NULL) is a failure.

``warn`` keeps the row and counts; ``drop`` leaves it out; ``quarantine`` leaves it out and keeps it in quality.quarantine;
``fail`` stops the batch before anything is written. A row that fails several rules leaves once, and each rule counts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kit.errors import Conflict
from lakehouse.dataset import Action, Dataset, Expectation
from lakehouse.engine import Session


class ExpectationFailed(Conflict):
    """An expectation with action ``fail`` did not hold; nothing of the batch was written."""

    code = "pipeline.expectation_failed"


@dataclass(slots=True)
class Quality:
    """Counts of one batch. ``dropped`` and ``quarantined`` are disjoint; ``failures`` is by expectation."""

    total: int = 0
    dropped: int = 0
    quarantined: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def add(self, other: Quality) -> None:
        self.total += other.total
        self.dropped += other.dropped
        self.quarantined += other.quarantined
        for name, failed in other.failures.items():
            self.failures[name] = self.failures.get(name, 0) + failed


def measure(session: Session, dataset: Dataset, candidates: str) -> Quality:
    """Count failures over a view of candidate rows; raises ExpectationFailed for a failing ``fail`` rule."""
    counts = [
        f"{_count(_fails(expectation))} AS f{position}" for position, expectation in enumerate(dataset.expectations)
    ]
    quarantined, dropped = _any_fails(dataset, Action.QUARANTINE), _any_fails(dataset, Action.DROP)
    row = session.fetch(
        f"SELECT count(*) AS total, {_count(quarantined)} AS quarantined, "
        f"{_count(f'({dropped}) AND NOT ({quarantined})')} AS dropped{''.join(', ' + count for count in counts)} FROM {candidates}"
    ).to_pylist()[0]
    quality = Quality(
        int(row["total"]),
        int(row["dropped"]),
        int(row["quarantined"]),
        {expectation.name: int(row[f"f{position}"]) for position, expectation in enumerate(dataset.expectations)},
    )
    for expectation in dataset.expectations:
        if expectation.action is Action.FAIL and quality.failures[expectation.name]:
            raise ExpectationFailed(
                f"{dataset.name}: {quality.failures[expectation.name]} rows fail {expectation.name}; nothing was written"
            )
    return quality


def kept_rows(dataset: Dataset) -> str:
    """The condition under which a candidate row stays."""
    return f"NOT ({_any_fails(dataset, Action.DROP)}) AND NOT ({_any_fails(dataset, Action.QUARANTINE)})"


def quarantined_rows(dataset: Dataset) -> str:
    """The condition under which a candidate row goes to quarantine."""
    return _any_fails(dataset, Action.QUARANTINE)


def failed_rules(dataset: Dataset) -> list[tuple[str, str]]:
    """(rule, condition that it fails) of the rules that quarantine."""
    return [(rule.name, _fails(rule)) for rule in dataset.expectations if rule.action is Action.QUARANTINE]


def _count(condition: str) -> str:
    return f"count(CASE WHEN {condition} THEN 1 END)"  # 0 over no rows


def _fails(expectation: Expectation) -> str:
    return f"NOT coalesce(({expectation.predicate}), false)"


def _any_fails(dataset: Dataset, action: Action) -> str:
    return " OR ".join(_fails(rule) for rule in dataset.expectations if rule.action is action) or "false"
