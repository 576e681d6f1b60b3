"""Chance that can be asked again: numbers that look drawn at random and depend on nothing but what is asked."""

import hashlib
import math
from typing import Final

_BITS: Final = 53
"""As many as a float holds, so that no number is rounded up to 1."""


def uniform(*asked: float | str) -> float:
    """A number in [0, 1), the same one whenever the same is asked, in every process and on every machine."""
    return _pair(asked)[0]


def normal(*asked: float | str) -> float:
    """A number of the standard normal distribution, the same one whenever the same is asked."""
    first, second = _pair(asked)
    return math.sqrt(-2 * math.log(1 - first)) * math.cos(math.tau * second)  # Box-Muller


def _pair(asked: tuple[int | float | str, ...]) -> tuple[float, float]:
    digest = hashlib.blake2b(repr(asked).encode(), digest_size=16).digest()
    first, second = (int.from_bytes(half) >> (64 - _BITS) for half in (digest[:8], digest[8:]))
    return first / (1 << _BITS), second / (1 << _BITS)
