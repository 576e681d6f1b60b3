"""What a start finds on disk, repaired: steps 2 to 5 of the recovery in FORMAT.md."""

import contextlib
import secrets
from typing import Final, NamedTuple

import structlog

from gateway.spool.format import HEADER_SIZE, Damage, Header, State, decode_header, scan
from gateway.spool.fs import Files
from gateway.spool.quarantine import Quarantine
from gateway.spool.segment import SUFFIX, Segment, read_all

_log = structlog.get_logger()

EPOCHS_SKIPPED: Final = 1024
"""If the cursor is lost: epochs above the newest on disk may have been used by starts that left nothing there."""


class Recovered(NamedTuple):
    """What is there.

    Attributes:
        segments: those with something above the position, in the order of their sequences.
        state: of the cursor, or the best that can be said without it.
        number: the highest that any segment's name has.
    """

    segments: list[Segment]
    state: State
    number: int


def recover(files: Files, state: State | None, quarantine: Quarantine) -> Recovered:
    """Repair what is there and say what it is. `state`: of the cursor, None if it is lost.

    Raises:
        OSError: the folder cannot be read.
    """
    names = [name for name in files.names() if name.endswith(SUFFIX) and name[: -len(SUFFIX)].isdecimal()]
    number = max((int(name[: -len(SUFFIX)]) for name in names), default=0)
    loaded = [_load(files, name, quarantine) for name in names]
    loaded.sort(key=lambda one: one[0].first)
    if state is None:
        state = _guess(loaded)
    segments = []
    floor = state.position
    for segment, _ in loaded:
        if segment.last <= floor:
            with contextlib.suppress(OSError):
                files.unlink(segment.name)
            continue
        if segment.first <= floor:
            segment.skip_to(floor, files)
        segments.append(segment)
        floor = segment.last
    return Recovered(segments, state, number)


def _load(files: Files, name: str, quarantine: Quarantine) -> tuple[Segment, Header | None]:
    """Check every frame of one file and put aside what is none."""
    data = read_all(files, name, 0, files.size(name))
    header = decode_header(data)
    segment = Segment(name)
    for found in scan(data, HEADER_SIZE):
        if not isinstance(found, Damage):
            segment.grow(found.end, found.summary)
            continue
        at_the_end = found.end == len(data)
        if not (at_the_end and not data[found.start :].strip(b"\0")):
            quarantine.keep(name, found)
            segment.give_up(found)
        if at_the_end:
            with contextlib.suppress(OSError):  # a read-only disk: `size` already says where it ends
                files.truncate(name, found.start)
    return segment, header


def _guess(loaded: list[tuple[Segment, Header | None]]) -> State:
    headers = [header for segment, header in loaded if header is not None and segment.last]
    if not headers:
        if loaded:
            _log.error("spool cursor lost", remedy="a new spool id begins; all that is on disk is sent")
        return State(secrets.token_hex(8), _epoch(loaded), 0, (), 0)
    _log.error("spool cursor lost", remedy="what is on disk is sent as far as Kafka's own position allows")
    runs = tuple(dict.fromkeys(header.run for header in headers))
    return State(headers[-1].spool, _epoch(loaded), 0, runs, _epoch(loaded))


def _epoch(loaded: list[tuple[Segment, Header | None]]) -> int:
    last = max((segment.last for segment, _ in loaded), default=0)
    return (last >> 40) + EPOCHS_SKIPPED if last else 0
