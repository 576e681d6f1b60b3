"""Chance that can be asked again: numbers that look drawn at random and depend on nothing but what is asked.

What is asked is a key, one for each thing that has a chance of its own, and a number within it, such as a time.
"""

import hashlib
import math
from typing import Final

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_HALF: Final = 1 << 32
_BITS: Final = 53
"""As many as a float holds, so that no number is rounded up to 1."""

FARTHEST: Final = math.sqrt(2 * 32 * math.log(2))
"""No normal number is farther from 0 than this, 6.66: they are made of 32 bits."""


def key_of(*asked: float | str) -> int:
    """A key of 64 bits, the same one whenever the same is asked, in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(asked).encode(), digest_size=8).digest())


def uniform(key: int, number: int) -> float:
    """A number in [0, 1), the same one whenever the same is asked."""
    return (_mixed(key, number) >> (64 - _BITS)) / (1 << _BITS)


def normal(key: int, number: int) -> float:
    """A number of the standard normal distribution, the same one whenever the same is asked."""
    first, second = divmod(_mixed(key, number), _HALF)
    return math.sqrt(-2 * math.log(1 - first / _HALF)) * math.cos(math.tau * second / _HALF)  # Box-Muller


def _mixed(key: int, number: int) -> int:
    """64 bits of which each depends on all bits of key and number: the finish of SplitMix64 (Steele and others, 2014)."""
    mixed = (key + number * _GOLDEN) & _MASK
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
    return mixed ^ mixed >> 31
