"""Where log events go: to the console, to one JSON object a line, or to the journal as native fields.

Everything logs through `structlog.get_logger()`: a fixed sentence as the event, everything that varies as a field.
No text in a field, whatever a device sent, can start a new line, colour the terminal or become another field.
"""

import json
import logging
import os
import re
import sys
import threading
import weakref
from contextlib import suppress
from typing import Final, TextIO

import structlog
from logging_journald import JournaldTransport
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.config import Log

PRIORITY: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def configure(log: Log, program: str) -> None:
    """Send the events of structlog and of all libraries where `log` says; called once, before anything logs.

    Console and JSON go to stderr. What cannot be written is given up: a full disk or a closed terminal never
    stops the program. `program` is the name the journal files it under.
    """
    level = getattr(logging, log.level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *_ending(log, program),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_FromLibraries()]
    root.setLevel(level)


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
        _console(colors=sys.stderr.isatty()),
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
    """The last processor: hands the event to journald; the line it returns is for stderr if that failed.

    MESSAGE is what `journalctl` shows, fields included; each field is there by its own name too, in upper case.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        # Each datagram is addressed anew, so that a restarted journald is found again.
        self._transport = JournaldTransport(connected=False)
        weakref.finalize(self, self._transport.socket.close)
        self._message = _console(colors=False, pad_event_to=0)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        level = event.pop("level")
        fields = {_field_name(key): value for key, value in event.items() if value is not None}
        message = self._message(logger, method, _escape(logger, method, event))
        fields |= {
            "MESSAGE": message,
            "PRIORITY": PRIORITY[level],
            "SYSLOG_IDENTIFIER": self._program,
            "SYSLOG_PID": os.getpid(),
        }
        try:
            # As bytes, the transport gives each value its length, so that a newline in it ends nothing.
            self._transport.send(
                (name, str(value).encode("utf-8", "backslashreplace")) for name, value in fields.items()
            )
        except OSError:
            return message
        raise structlog.DropEvent


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
    """Turns what libraries log by the standard library into an event of ours, under the name of their logger."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            # Their arguments do not fit their format: an event all the same.
            text = str(record.msg)
        level = next(name for name, least in _LEVELS if record.levelno >= least)
        getattr(structlog.get_logger(), level)(text, logger=record.name, exc_info=record.exc_info)


_LEVELS: Final = (("critical", 50), ("error", 40), ("warning", 30), ("info", 20), ("debug", 0))
