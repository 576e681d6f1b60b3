"""Errors of the device side. Each one tells the caller its next step.

DeviceError
├── SettingError      stop: the configuration is wrong; shows key, value and what is allowed
├── DecodeError       dead-letter this payload and go on
└── SourceError
    ├── SourceLost    connect again, soon and for ever
    ├── SourceRefused connect again, at the slowest pace: somebody has to change something
    └── SourceEnded   do not connect again: a finite source has said all it had to say
"""

from collections.abc import Sequence


class DeviceError(Exception):
    """Root of the errors that `devices` raises on purpose."""


class SettingError(DeviceError):
    """A setting is wrong. Refuse to start.

    Attributes:
        key: dotted path within the configuration, `sources.line.port`.
        problem: what is wrong and what is allowed, as the end of a sentence.
        about: the keys whose values make the mistake, if it is not that key alone: they may stand in several files.
    """

    def __init__(self, key: str, problem: str, about: Sequence[str] = ()) -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.key = key
        self.problem = problem
        self.about = about


class DecodeError(DeviceError):
    """No decoder could read this payload. The text says what was wrong and quotes no device data."""


class SourceError(DeviceError):
    """A source cannot go on. The text says what happened, where, and what to do about it."""


class SourceLost(SourceError):
    """The connection is gone or never came up: unplugged, no route, broker restarting."""


class SourceRefused(SourceError):
    """The other side said no: wrong password, no permission on the port."""


class SourceEnded(SourceError):
    """A finite source, such as a replayed file, is finished."""
