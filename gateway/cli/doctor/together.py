"""Does several things side by side until a deadline, and waits for none that hangs."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Yield(Generic[T]):
    """What one of them came to.

    Attributes:
        items: what it yielded in time.
        ended: whether it ended in time.
        error: what it raised.
    """

    def __init__(self) -> None:
        self.items: list[T] = []
        self.ended = False
        self.error: Exception | None = None


def together(works: Sequence[Callable[[], Iterable[T]]], within: float) -> list[Yield[T]]:
    """Run all of `works`, each in a thread of its own, for at most `within` seconds.

    What hangs then (a name server, a disk) keeps its thread, which does not keep the program from ending.
    """
    yields: list[Yield[T]] = [Yield() for _ in works]

    def body(work: Callable[[], Iterable[T]], into: Yield[T]) -> None:
        try:
            for item in work():
                into.items.append(item)
        except Exception as error:  # noqa: BLE001 - told by who waits
            into.error = error
        into.ended = True

    threads = [
        threading.Thread(target=body, args=pair, daemon=True) for pair in zip(works, yields, strict=True)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + within
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return yields
