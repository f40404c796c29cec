"""A run changes its state by legal transitions only, and in one place of the code only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from workers.models import Run
from workers.states import TRANSITIONS, IllegalTransition, RunState, move

ROOT = Path(__file__).parents[2]
ROOMS = ("kit", "lakehouse", "governance", "pipelines", "ml", "sharing", "workers", "api", "cli")
THE_PLACE = Path("workers/states.py")


@pytest.mark.parametrize(("state", "following"), list(product([None, *RunState], RunState)))
def test_every_pair_of_states(state: RunState | None, following: RunState) -> None:
    run = Run(id="run_1", state=state)
    if following in TRANSITIONS[state]:
        move(run, following)
        assert run.state == following
    else:
        with pytest.raises(IllegalTransition, match="run_1"):
            move(run, following)
        assert run.state == state


def test_every_state_can_be_reached_and_final_ones_are_final() -> None:
    reached: set[RunState | None] = {None}
    while (more := reached | {state for known in reached for state in TRANSITIONS[known]}) != reached:
        reached = more
    assert reached == {None, *RunState} == set(TRANSITIONS)
    assert {state for state, following in TRANSITIONS.items() if not following} == {
        RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED
    }  # fmt: skip


def assignments(tree: ast.AST) -> Iterator[int]:
    """Lines that give a run a state: by attribute, by setattr, when it is made, or in an UPDATE of its table."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets):
                found = any(
                    isinstance(part, ast.Attribute) and part.attr == "state" and isinstance(part.ctx, ast.Store)
                    for target in targets
                    for part in ast.walk(target)
                )
            case ast.AugAssign(target=ast.Attribute(attr="state")) | ast.AnnAssign(target=ast.Attribute(attr="state")):
                found = True
            case ast.Call(func=ast.Name(id="setattr"), args=[_, name, *_]):
                found = not isinstance(name, ast.Constant) or name.value == "state"
            case ast.Call(func=ast.Name(id="Run"), keywords=keywords):
                found = any(keyword.arg in ("state", None) for keyword in keywords)
            case ast.Call(func=ast.Attribute(attr="values"), keywords=keywords) if "update(Run" in ast.unparse(node):
                found = any(keyword.arg in ("state", None) for keyword in keywords) or bool(node.args)
            case _:
                found = False
        if found:
            yield node.lineno  # type: ignore[attr-defined]


def test_no_other_module_gives_a_run_a_state() -> None:
    modules = [path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert THE_PLACE in modules
    found = [
        f"{path}:{line}"
        for path in modules
        if path != THE_PLACE
        for line in assignments(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ]
    assert found == []
    assert list(assignments(ast.parse((ROOT / THE_PLACE).read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "run.state = x",
        "a, run.state = x",
        "setattr(run, 'state', x)",
        "setattr(run, name, x)",
        "Run(id=1, state=x)",
        "Run(**everything)",
        "session.execute(update(Run).where(Run.id == 1).values(state=x))",
        "session.execute(update(Run).values({'state': x}))",
    ],
)
def test_the_rule_finds_what_it_forbids(code: str) -> None:
    assert list(assignments(ast.parse(code)))


def test_the_rule_lets_reading_pass() -> None:
    assert not list(
        assignments(
            ast.parse(
                "x = run.state\napp.state.store = x\nselect(Run).where(Run.state == x)\nupdate(Run).values(worker=x)"
            )
        )
    )
