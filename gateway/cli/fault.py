"""Say that an anomaly was a real fault: what it taught its rule is forgotten, so that the same fault is found again.

Exit code: as of `gatewayctl ack`.

example: gatewayctl fault 3f09a1c
"""

from functools import partial

from gateway.cli.answer import add_arguments, answer

__all__ = ["add_arguments", "run"]

run = partial(answer, "fault")
