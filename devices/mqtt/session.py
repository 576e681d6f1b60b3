"""What the session at the broker may hold, on disk: only the gateway can know which subscriptions it made before.

A broker keeps subscriptions with the session, and gives no list of them. So before a source subscribes, the file of
its session names all filters, old and new; what left the configuration is unsubscribed, and then the file names those
that are left. Between the two it may name too many, never too few. Nothing is written while nothing changes.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from devices.files import replace

SUFFIX: Final = ".mqtt-session"

PATIENCE: Final = 5.0
"""Seconds that a source waits for the disk."""

_log = structlog.get_logger()


class Kept(msgspec.Struct, frozen=True):
    """The content of the file: whose session it is, and the topic filters that it may hold."""

    hosts: list[str]
    client_id: str
    filters: list[str]


_KEPT: Final = msgspec.json.Decoder(Kept)


class Session:
    """The subscriptions of one session. Trouble with the file is logged, and never keeps a source from its work."""

    def __init__(self, folder: Path | None, source: str, hosts: Sequence[str], client_id: str) -> None:
        """`folder` is where its file is kept; None: nowhere, and only this process knows."""
        self._path = folder / f"{source}{SUFFIX}" if folder else None
        self._source = source
        self._hosts = list(hosts)
        self._client_id = client_id
        self._held: frozenset[str] | None = None
        self._stored: frozenset[str] = frozenset()

    async def held(self) -> frozenset[str]:
        """The filters that the session may hold."""
        if self._held is None:
            try:
                async with asyncio.timeout(PATIENCE):
                    self._stored = await asyncio.to_thread(self._load)
            except TimeoutError:
                self._stored = self._unread("the disk does not answer")
            self._held = self._stored
        return self._held

    async def remember(self, filters: frozenset[str]) -> None:
        """From now on the session may hold these and no others. On disk on return, unless the log says why not."""
        self._held = filters
        if self._path is None or filters == self._stored:
            return
        kept = msgspec.json.encode(Kept(self._hosts, self._client_id, sorted(filters)))
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.to_thread(replace, self._path, kept)
        except OSError as error:  # a TimeoutError is one
            _log.warning(
                "session file cannot be written",
                source=self._source,
                file=str(self._path),
                problem=error.strerror or "the disk does not answer",
                effect="a topic that leaves the configuration will stay subscribed; what comes on it will be dead letters",
            )
        else:
            self._stored = filters

    def _unread(self, why: str) -> frozenset[str]:
        _log.warning(
            "session file cannot be read",
            source=self._source,
            file=str(self._path),
            problem=why,
            effect="it is replaced; what left the configuration meanwhile stays subscribed, and comes as dead letters",
        )
        return frozenset()

    def _load(self) -> frozenset[str]:
        if self._path is None:
            return frozenset()
        try:
            kept = _read(self._path)
        except FileNotFoundError:
            return frozenset()
        except (OSError, msgspec.DecodeError) as error:
            return self._unread(getattr(error, "strerror", None) or "it is damaged")
        if kept.client_id == self._client_id and set(kept.hosts) & set(self._hosts):
            return frozenset(kept.filters)
        problem = _left_behind(kept, "this source used before")
        _log.warning("session left behind", source=self._source, problem=problem)
        return frozenset()


def orphans(folder: Path, sources: Collection[str]) -> Iterator[str]:
    """One sentence for each session whose file is in `folder` but whose source is not among `sources`."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        name = path.name.removesuffix(SUFFIX)
        if name in sources:
            continue
        try:
            kept = _read(path)
        except (OSError, msgspec.DecodeError):
            continue  # whose session it was is not to be found out any more
        behind = _left_behind(kept, f"of the source {name}, which left the configuration,")
        yield f"{behind}; then delete {path}"


def _read(path: Path) -> Kept:
    return _KEPT.decode(path.read_bytes())


def _left_behind(kept: Kept, whose: str) -> str:
    host = kept.hosts[0] if kept.hosts else "?"
    return (
        f"the session {kept.client_id!r} {whose} goes on queueing messages at the broker {host} until it expires there; "
        f"to end it, run: mosquitto_sub -h {host} -i {kept.client_id!r} -t x -E (with the port, user and TLS of that broker)"
    )
