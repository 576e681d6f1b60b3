"""How the C library keeps memory."""

import contextlib
import ctypes
from typing import Final

M_ARENA_MAX: Final = -8


def one_arena() -> None:
    """Let all threads share one heap; called first of all. Without glibc nothing happens.

    glibc gives each thread of the Kafka client and of the spool a heap of its own, whose free memory no other uses.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
