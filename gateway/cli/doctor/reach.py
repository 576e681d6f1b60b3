"""Whether a host has an address, and whether something accepts connections there."""

import socket
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from gateway.cli.doctor.together import together

PATIENCE: Final = 3.0
"""Seconds for a name server, and again for a connection."""


class Unreachable(Exception):
    """The text says why, as the end of a sentence that begins with host and port.

    Attributes:
        by_name: it has no address: nothing was tried there.
    """

    def __init__(self, text: str, *, by_name: bool = False) -> None:
        super().__init__(text)
        self.by_name = by_name


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host. Blocks for at most about PATIENCE.

    Raises:
        Unreachable: it has none, or no name server says so.
    """

    def ask() -> Iterator[str]:
        yield from {str(one[4][0]): None for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}

    [answer] = together([ask], PATIENCE)
    if answer.error is not None:
        raise Unreachable(f"has a name that no name server knows ({answer.error.args[-1]})", by_name=True)
    if not answer.ended:
        raise Unreachable(f"has a name that the name server did not resolve in {PATIENCE:g} s", by_name=True)
    return answer.items


def reach(host: str, port: int) -> float:
    """Connect and hang up: the milliseconds until it accepted. Blocks for at most about twice PATIENCE.

    Raises:
        Unreachable: see there.
    """
    addresses = resolve(host, port)
    tries = together([partial(_connect, address, port) for address in addresses[:4]], PATIENCE + 0.5)
    took = [one.items[0] for one in tries if one.items]
    if took:
        return min(took)
    errors = [one.error for one in tries if one.error is not None]
    if any(isinstance(error, ConnectionRefusedError) for error in errors):
        raise Unreachable("refuses connections: nothing listens there")
    if not errors or isinstance(errors[0], TimeoutError):
        raise Unreachable(f"did not answer in {PATIENCE:g} s")
    raise Unreachable(f"cannot be reached: {getattr(errors[0], 'strerror', None) or errors[0]}")


def _connect(address: str, port: int) -> Iterator[float]:
    began = time.monotonic()
    with socket.create_connection((address, port), PATIENCE):
        yield (time.monotonic() - began) * 1000
