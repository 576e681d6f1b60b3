"""Say that an anomaly has been seen: it is listed as acknowledged until it is cleared. Nothing else changes.

Exit code: 0 gateway-detect has heard it, 1 nobody answered, 2 it could not be said: no such anomaly, or Kafka is away.

example: gatewayctl ack 3f09a1c --by maria
"""

from functools import partial

from gateway.cli.answer import add_arguments, answer

__all__ = ["add_arguments", "run"]

run = partial(answer, "ack")
