r"""Lines of any form, by a regular expression with named groups: `T=(?P<temperature>[-0-9.]+)C H=(?P<humidity>\d+)%`.

The expression describes the whole payload, spaces around it aside: half a line must not pass for one. Write `.*` where
something else may stand. Each named group is a value, read as a word of keyvalue.py; members.py says what the names
mean, so that a group `device`, `time` or `unit` describes the others. A group that takes no part, or takes nothing, is
no reading; a payload that does not fit is refused. As a name of a group holds letters, digits and `_` only, `rename` has
the others.

The expressions are those of RE2 (https://github.com/google/re2/wiki/Syntax): no looking around, no references back, and
in return no expression and no line can take long. Python's own `re` may take hours over thirty characters, with the
whole gateway waiting. RE2's time grows with the length of the payload and of the expression, and with no power of them;
both have a bound here.
"""

import operator
from typing import Annotated, Any, Final

from msgspec import Meta

from devices.decoders.common import text_of
from devices.decoders.members import Members
from devices.decoders.naming import Naming, rules_of
from devices.decoders.words import value_of
from devices.errors import DecodeError, SettingError
from devices.extras import missing
from devices.reading import Reading
from devices.source import Decode, Origin

TEXT_LENGTH: Final = 4096
"""Longest payload that is matched, in characters."""

_PROGRAM_BYTES: Final = 131_072
"""Memory of a compiled expression: RE2 refuses one that needs more."""


class Settings(Naming, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a payload looks like; what the names of its groups mean, see Naming.

    Attributes:
        pattern: the expression; at least one group has a name.
    """

    pattern: Annotated[str, Meta(min_length=1, max_length=1000)]


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode.

    Raises:
        SettingError: no expression that RE2 takes, one without a named group, or RE2 is not installed.
    """
    expression = _compiled(settings.pattern)
    groups = sorted(expression.groupindex.items(), key=operator.itemgetter(1))  # RE2 has them by name
    known = Members(rules_of(settings))
    texts = known.naming

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        text = text_of(data).strip()
        if not text:
            return []
        if len(text) > TEXT_LENGTH:
            raise DecodeError(f"{len(text)} characters; at most {TEXT_LENGTH} are matched with an expression")
        match = expression.fullmatch(text)
        if match is None:
            raise DecodeError("does not fit `pattern`: a torn line, or another kind of payload")
        members = {
            name: word if name in texts else value_of(word)
            for name, index in groups
            if (word := match.group(index))
        }
        return known.readings(members, origin, received)

    return decode


def _compiled(pattern: str) -> Any:
    try:
        import re2  # noqa: PLC0415 - an extra, for those who use this decoder
    except ImportError:
        raise SettingError("pattern", missing("RE2", "regex")) from None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PROGRAM_BYTES
    try:
        expression = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        why = error.args[0].decode(errors="replace") if isinstance(error, re2.error) else "no Unicode text"
        raise SettingError("pattern", f"{pattern!r} is not allowed: {why}; allowed: RE2's syntax") from None
    if not expression.groupindex:
        problem = (
            f"{pattern!r} names nothing; allowed: an expression with groups such as (?P<temperature>[-0-9.]+)"
        )
        raise SettingError("pattern", problem)
    return expression
