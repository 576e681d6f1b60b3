"""gatewayd for which time runs faster, as whole hours pass in a test: `fast.py TIMES --config ...`.

All clocks and waits of the program do, and so do the times that the Kafka client is given to answer, which has clocks
of its own. What others take is as slow as ever: a disk, a network, a Kafka that answers. So an outage can be played, and
its end cannot.
"""

import os
import selectors
import sys
import time
from collections.abc import Callable
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient

TIMES = int(sys.argv[1])

Seconds = float | None


def _faster(clock: Callable[..., Any], *of: int) -> Callable[..., Any]:
    start = clock(*of)
    return lambda *_: start + (clock(*of) - start) * TIMES


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: Seconds = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / TIMES if timeout else timeout)


class _Producer(confluent_kafka.Producer):
    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        return super().list_topics(topic, timeout / TIMES)

    def init_transactions(self, timeout: float = -1) -> None:
        super().init_transactions(timeout / TIMES)


def _list_topics(self: AdminClient, *, timeout: float) -> Any:
    return super(AdminClient, self).list_topics(timeout=timeout / TIMES)


if __name__ == "__main__":
    # Before the program is imported, which binds some of these.
    for name in ("monotonic", "monotonic_ns", "time", "time_ns"):
        setattr(time, name, _faster(getattr(time, name)))
    setattr(time, "clock_gettime_ns", _faster(time.clock_gettime_ns, time.CLOCK_BOOTTIME))  # noqa: B010 - the only one asked for
    setattr(selectors, "DefaultSelector", _Selector)  # noqa: B010 - the loop takes it from there
    setattr(confluent_kafka, "Producer", _Producer)  # noqa: B010
    setattr(AdminClient, "list_topics", _list_topics)  # noqa: B010
    # As if systemd ran faster too.
    os.environ["WATCHDOG_USEC"] = str(int(os.environ["WATCHDOG_USEC"]) * TIMES)

    from gateway import main

    sys.exit(main.main(sys.argv[2:]))
