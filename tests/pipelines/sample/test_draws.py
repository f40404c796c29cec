from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sample.draws import Draws

KEYS = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50)


@given(seed=st.integers(0, 2**64 - 1), keys=KEYS, other=st.integers(0, 2**31))
def test_a_draw_depends_on_its_own_keys_only(seed: int, keys: list[int], other: int) -> None:
    together = Draws(seed).uniform("purpose", np.array(keys), other)
    alone = [float(Draws(seed).uniform("purpose", np.array([key]), other)[0]) for key in keys]
    assert together.tolist() == alone
    assert ((together >= 0) & (together < 1)).all()


@given(keys=KEYS)
def test_a_key_draws_the_same_whatever_its_width(keys: list[int]) -> None:
    draws = Draws(7)
    assert (draws.bits("p", np.array(keys, np.int32)) == draws.bits("p", np.array(keys, np.int64))).all()


def test_draws_of_other_seeds_purposes_and_keys_are_unlike() -> None:
    keys = np.arange(20_000)
    draws = Draws(7)
    columns = [
        draws.uniform("one", keys),
        draws.uniform("two", keys),
        Draws(8).uniform("one", keys),
        draws.uniform("one", keys, 1),
        draws.uniform("one", 1, keys),
    ]
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlations).max() < 0.03


def test_draws_have_the_distribution_they_promise() -> None:
    keys, draws = np.arange(200_000), Draws(7)
    uniform, normal = draws.uniform("u", keys), draws.normal("n", keys)
    assert np.abs(np.histogram(uniform, 20, (0, 1))[0] / 10_000 - 1).max() < 0.05
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    shares = np.bincount(draws.choice("c", np.array([1.0, 3.0, 6.0]), keys)) / len(keys)
    assert np.abs(shares - [0.1, 0.3, 0.6]).max() < 0.01
