"""Random numbers that depend only on the seed, a purpose and keys: never on the order in which they are drawn.

Each draw is a hash (the splitmix64 finaliser) of ``(seed, purpose, *keys)``. So an order's third line has the same
product whichever file it is rendered into, the world can be continued by a day without replaying a generator, and
nothing has to be kept in memory that can be drawn again.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Keys = NDArray[Any]

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Draws:
    """Draws of one seed. Every method takes a purpose and integer key arrays (or ints) that broadcast to one array."""

    def __init__(self, seed: int) -> None:
        self._seed = _mix_int(seed & _WORD)

    def bits(self, purpose: str, *keys: Keys | int) -> NDArray[np.uint64]:
        """64 uniform bits per key."""
        state: Any = np.array(
            [_mix_int(self._seed ^ (zlib.crc32(purpose.encode()) * _GOLDEN & _WORD))], dtype=np.uint64
        )
        for key in keys:
            state = _mix(state + np.asarray(key).astype(np.uint64))
        return np.asarray(state, dtype=np.uint64)

    def uniform(self, purpose: str, *keys: Keys | int) -> Floats:
        """Numbers of [0, 1)."""
        return np.asarray((self.bits(purpose, *keys) >> np.uint64(11)) * 2.0**-53, dtype=np.float64)

    def normal(self, purpose: str, *keys: Keys | int) -> Floats:
        """About standard normal numbers: the sum of four uniform ones, so within 3.5."""
        quarters = self.bits(purpose, *keys).view(np.uint16).reshape(-1, 4)
        return np.asarray((quarters.sum(axis=1, dtype=np.int64) - 131070) / (65536 / 3.0**0.5), dtype=np.float64)

    def pick(self, purpose: str, count: int | Ints, *keys: Keys | int) -> Ints:
        """Integers of [0, count)."""
        return (self.uniform(purpose, *keys) * count).astype(np.int64)

    def choice(self, purpose: str, weights: Floats, *keys: Keys | int) -> Ints:
        """Positions in ``weights``, which need not sum to one."""
        return np.searchsorted(np.cumsum(weights) / weights.sum(), self.uniform(purpose, *keys), side="right").astype(
            np.int64
        )


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + np.uint64(_GOLDEN)
    state ^= state >> np.uint64(30)
    state *= np.uint64(_FIRST)
    state ^= state >> np.uint64(27)
    state *= np.uint64(_SECOND)
    state ^= state >> np.uint64(31)
    return state


def _mix_int(state: int) -> int:
    state = (state + _GOLDEN) & _WORD
    state = (state ^ (state >> 30)) * _FIRST & _WORD
    state = (state ^ (state >> 27)) * _SECOND & _WORD
    return state ^ (state >> 31)
