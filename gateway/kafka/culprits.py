"""Which of some records Kafka refuses each by itself: it refuses whole requests, so they are halved until alone."""

from collections.abc import Awaitable, Callable

from gateway.kafka.client import Record

Suspect = tuple[Record, str]
"""A record that may be what a request was refused for, and the reason that came with it."""


async def culprits(
    suspects: list[Suspect],
    trial: Callable[[list[Record]], Awaitable[list[Suspect]]],
    too_large: Callable[[int], None],
) -> list[Suspect]:
    """Those that Kafka refuses though nothing else is with them.

    `trial` tells which of some records it refuses together; it raises what it likes, which passes. `too_large` hears of a
    number of records that goes through where twice as many did not, none of which is at fault.
    """
    groups, found = [suspects], []
    while groups:
        group = groups.pop(0)
        if len(group) == 1:
            found += group
            continue
        middle = len(group) // 2
        refused = []
        for half in (group[:middle], group[middle:]):
            again = await trial([record for record, _ in half])
            refused += [again] if again else []
        if not refused:
            too_large(middle)
        groups += refused
    return found
