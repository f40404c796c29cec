"""What does a run cost whose news are few, beside a full build?

    python -m bench.incremental [--customers 200000] [--rounds 3] [--check]

In each round, on one lake and one ``as_of``, each run a process of its own, publication to the online store included:

- the full build of a sample that ends three days before;
- a second run with nothing new;
- the last three days arrive, of customers who are 1 % of all and each have something new (orders, visits, tickets, CRM records);
- 1 % of all records of every source arrive in another version, spread evenly over customers and history.

Printed: seconds and rows by run, and last each run's ratio to the full build of its round beside its goal, as median
[least-most]. ``--check`` rebuilds everything from the files at the end, elsewhere, and compares all rows.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from bench.harness.deltas import land_changes, land_last_days
from bench.harness.lake import UNTIL, built_datasets, daily
from bench.harness.process import Cost, load, spread
from bench.harness.rows import compare
from pipelines.sample import land_sample

DAYS = 3
GOALS = {"nothing new": 0.03, "last days of 1 %": 0.15, "1 % all over": 0.45}
FULL = "full build"


def main() -> None:
    options = _options()
    costs: dict[str, list[Cost]] = {name: [] for name in (FULL, *GOALS)}
    for turn in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            landed = land_sample(home / "landing", customers=options.customers, until=UNTIL - timedelta(days=DAYS))
            print(f"round {turn + 1}: {options.customers} customers, records {dict(landed.records)}", flush=True)
            _run(home, FULL, costs)
            if (commits := _run(home, "nothing new", costs).told["commits"]) != 0:
                raise SystemExit(f"a run with nothing new made {commits} commits")
            customers = land_last_days(home / "landing", customers=options.customers, until=UNTIL, share=0.01)
            print(f"  landed: {DAYS} days of {customers} customers")
            _run(home, "last days of 1 %", costs)
            print(f"  landed: other versions of {land_changes(home / 'landing', home / 'lake', one_in=100)}")
            _run(home, "1 % all over", costs)
            if options.check:
                _check(home)
    for figure in ("wall", "inner_wall", "cpu", "inner_cpu"):
        for name, goal in GOALS.items():
            ratios = [
                getattr(run, figure) / getattr(full, figure) for run, full in zip(costs[name], costs[FULL], strict=True)
            ]
            print(f"{figure}, {name} / full build: {spread(ratios)} of {options.rounds} rounds (goal: at most {goal})")


def _run(home: Path, name: str, costs: dict[str, list[Cost]]) -> Cost:
    cost = daily(home)
    costs[name].append(cost)
    slowest = sorted(cost.told["datasets"].items(), key=lambda pair: -pair[1])[:5]
    print(
        f"  {name} ({load()}): {cost}; {cost.told['commits']} commits, {cost.told['rows_written']} rows written, "
        f"{cost.told['published']} profiles in {cost.told['publishing']} s; slowest {dict(slowest)}",
        flush=True,
    )
    return cost


def _check(home: Path) -> None:
    """What came step by step is what one build makes of all files. Bronze keeps the help desk's past, of which its own table no longer
    knows who was deleted: so the rebuilt lake begins with that table, and the memory of having read it."""
    other, tickets = home / "rebuilt", "lake/bronze/support_tickets"
    shutil.copytree(home / tickets, other / tickets)
    for file in home.glob("control.db*"):
        shutil.copy(file, other)
    (other / "landing").symlink_to(home / "landing")
    daily(other)
    print(f"  {compare(home / 'lake', other / 'lake', built_datasets())} rows are those of a full build")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="compare the outcome with a full build")
    return parser.parse_args()


if __name__ == "__main__":
    main()
