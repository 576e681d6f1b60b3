"""Where log events go: to the console, to one JSON object a line, or to the journal as native fields.

Everything logs through `structlog.get_logger()`: a fixed name as the event, everything that varies as a field; each name
is explained in docs/logging.md. No text in a field, whatever a device sent, can start a new line, colour the terminal or
become another field.
"""

import atexit
import json
import logging
import os
import re
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.config import Log
from gateway.journal import PRIORITY, Entry, Journal, pack
from gateway.repeats import Repeats
from gateway.terminal import coloured


def configure(log: Log, program: str) -> None:
    """Send the events of structlog and of all libraries where `log` says; called before anything logs.

    Of an event that repeats the first ones are said, and later how many others there were (gateway.repeats). The journal
    makes nobody wait. Console and JSON go to stderr. What cannot be written is given up: a full disk or a closed terminal
    never stops the program. `program` is the name the journal files it under.
    """
    level = getattr(logging, log.level.upper())
    _ends.clear()
    repeats = Repeats()
    structlog.configure(
        processors=[
            repeats,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *_ending(log, program),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _ends.append(partial(repeats.sum_up, early=True))
    root = logging.getLogger()
    root.handlers = [_FromLibraries()]
    root.setLevel(level)


def configure_anew(log: Log, program: str) -> None:
    """The same while the program logs, from any thread. Hands over what was said before, and blocks for that, for seconds."""
    before = list(_ends)
    configure(log, program)
    while before:
        before.pop()()


def end() -> None:
    """Say what was counted, and hand over what waits, within seconds; also called as the program ends."""
    while _ends:
        _ends.pop()()


# The last one first: what is said then is to be handed over, too.
_ends: Final[list[Callable[[], object]]] = []
atexit.register(end)


def stderr_is_the_journal() -> bool:
    """Whether systemd connected stderr to the journal: $JOURNAL_STREAM names its device and inode."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _ending(log: Log, program: str) -> list[Processor]:
    form = log.format
    if form == "auto":
        form = "journal" if stderr_is_the_journal() else "console"
    if form == "journal":
        return [_Journal(program)]
    if form == "json":
        return [structlog.processors.TimeStamper(fmt="iso", utc=True), _json(program)]
    return [
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        _escape,
        _console(colors=coloured(sys.stderr)),
    ]


def _console(*, colors: bool, pad_event_to: int = 30) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        pad_event_to=pad_event_to,
        repr_native_str=True,
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if more := event.pop("and_more", 0):
        event["event"] = f"{event['event']}, and {more} more in the last minute"
    # The renderer shows fields by their repr, which is one printable line, but these as they are.
    for key in ("event", "logger", "logger_name"):
        if key in event:
            event[key] = _visible(str(event[key]))
    for key in ("exception", "stack"):
        if key in event:
            event[key] = "\n".join(f"  | {_visible(line)}" for line in str(event[key]).split("\n"))
    return event


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _json(program: str) -> Processor:
    def render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
        first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
        fields = {**first, "program": program, **event}
        try:
            return json.dumps(fields, allow_nan=False, default=str)
        except (TypeError, ValueError):
            # A NaN, or a table whose keys are no text: rarer than worth a walk through every event.
            return json.dumps({key: str(value) for key, value in fields.items()})

    return render


class _Journal:
    """The last processor: hands the event to journald, and leaves nothing to be written.

    MESSAGE is what `journalctl` shows, fields included; each field is there by its own name too, in upper case.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._journal = Journal(program)
        weakref.finalize(self, self._journal.close).atexit = False
        _ends.append(self._journal.drain)
        self._message = _console(colors=False, pad_event_to=0)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        priority = PRIORITY[event.pop("level")]
        fields = {_field_name(key): _text(value) for key, value in event.items() if value is not None}
        message = self._message(logger, method, _escape(logger, method, event))
        fields |= {
            "MESSAGE": message,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": self._program,
            "SYSLOG_PID": str(os.getpid()),
        }
        self._journal.send(Entry(priority, message, pack(fields.items())))
        raise structlog.DropEvent


def _text(value: object) -> str:
    return json.dumps(value, default=str) if isinstance(value, dict | list | tuple) else str(value)


def _field_name(key: str) -> str:
    # What journald accepts: it drops fields with other names, and reserves those that begin with an underscore.
    return re.sub(r"[^A-Z0-9_]", "_", key.upper()).lstrip("_0123456789")[:64] or "FIELD"


class _Lines:
    """What structlog writes rendered events to."""

    # One for all: loggers are made anew for each event, and threads log too.
    _lock: Final = threading.Lock()

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    critical = error = warning = info = debug = msg


class _FromLibraries(logging.Handler):
    """Turns what libraries log by the standard library into an event of ours, with the name of their logger."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            # Their arguments do not fit their format: an event all the same.
            text = str(record.msg)
        level = next(name for name, least in _LEVELS if record.levelno >= least)
        say = getattr(structlog.get_logger(), level)
        say("library message", text=text, logger=record.name, exc_info=record.exc_info)


_LEVELS: Final = (("critical", 50), ("error", 40), ("warning", 30), ("info", 20), ("debug", 0))
