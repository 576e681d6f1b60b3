"""Say that what an anomaly shows is normal from now on: it is cleared, and its rule takes over the new level, range or run.

Limits that a person set stay as they are.

Exit code: as of `gatewayctl ack`.

example: gatewayctl accept 3f09a1c
"""

from functools import partial

from gateway.cli.answer import add_arguments, answer

__all__ = ["add_arguments", "run"]

run = partial(answer, "accept")
