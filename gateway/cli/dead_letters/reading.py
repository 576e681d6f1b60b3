"""What the verbs share: which letters are meant, whose they are, and reading the topic."""

import argparse
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.config import GatewayConfig
from gateway.config_files import usual_path
from gateway.control import ControlError, ask, find_socket
from gateway.letters import EVERY, Address, Filter, Found, Place, begins
from gateway.moments import point

if TYPE_CHECKING:  # slow to come
    from gateway.kafka.letters_topic import LettersTopic

LAST: Final = 10_000
"""Records of each partition that are read if nothing says otherwise. A letter takes two or so: the end of its transaction too."""

MOST: Final = 1_000_000

ROOM: Final = 64_000_000
"""Bytes of payload that are held at most."""

EXAMPLE: Final = 64
"""Bytes of each letter that are kept where it is not to be decoded."""


def add_where(parser: argparse.ArgumentParser) -> None:
    """The options that say where Kafka and the daemon are."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=usual_path("gateway"),
        help="the gateway's configuration (default: $GATEWAY_CONFIG, else /etc/gateway/gateway.toml)",
    )
    parser.add_argument(
        "--socket", default="", help="control socket of the daemon (default: where it usually is)"
    )
    parser.add_argument(
        "--last",
        type=_count,
        default=LAST,
        metavar="N",
        help="read the last N records of each partition of the topic, if neither --since nor an address says how far back "
        "(default: %(default)s)",
    )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """The options that say which letters are meant."""
    parser.add_argument(
        "--since",
        type=point,
        metavar="TIME",
        help="only those received since then: 90min, 2h, 7d, or a time such as 2026-01-31T08:00 (local)",
    )
    parser.add_argument("--source", default="*", metavar="PATTERN", help="of these sources, such as 'line-*'")
    parser.add_argument("--reason", default="", metavar="TEXT", help="with this in the reason, in any case")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed: must be a number from 1 to {MOST}")


def status_of(options: argparse.Namespace, config: GatewayConfig) -> dict[str, Any] | None:
    """What gatewayd says of itself; None if it does not answer."""
    with contextlib.suppress(ControlError):
        return ask(find_socket(options.socket or config.control.socket), {"verb": "status"})
    return None


def own_id(config: GatewayConfig, status: dict[str, Any] | None) -> str:
    """The id of this gateway, by its configuration or its daemon; empty if neither says it."""
    if config.gateway.id or status is None:
        return config.gateway.id
    return str(status["gateway"]["id"])


def filter_of(options: argparse.Namespace, gateway: str, addresses: Iterable[Address] = ()) -> Filter:
    """What the options say; `gateway` is whose letters are meant, if addresses of single letters do not say it."""
    which = frozenset(addresses)
    certain = which and all(isinstance(one, Place) for one in which)
    return Filter(EVERY if certain else gateway, options.source, options.reason, options.since or 0, which)


def read(config: GatewayConfig, which: Filter, last: int, *, kept: int) -> tuple[Found, int]:
    """Read the topic as far back as these letters need it; and how many records, at most, lie before that.

    If neither a time nor addresses say how far that is, `last` records of each partition are read. Of the payload of each
    letter `kept` bytes are kept.

    Raises:
        ReadbackError: see there.
    """
    # Needed only here, and slow to come.
    from gateway.kafka.letters_topic import LettersTopic  # noqa: PLC0415

    found = Found(which.takes, kept=kept, room=ROOM)
    topic = LettersTopic(config.kafka, which.since)
    try:
        places = begins(which.addresses)
        if places is not None:
            topic.only_from({(config.kafka.dead_letters_topic, one): at for one, at in places.items()})
        elif not which.since:
            topic.newest(last)
        take(topic, found)
    finally:
        topic.close()
    return found, 0 if places is not None else topic.skipped


def take(topic: "LettersTopic", found: Found) -> None:
    """All that the topic is to give.

    Raises:
        ReadbackError: see there.
    """
    for lot in topic.lots():
        for _, partition, offset, sent, value in lot:
            found.take(Place(partition, offset), sent, value or b"")
