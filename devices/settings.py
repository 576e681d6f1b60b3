"""Typed settings: TOML tables in, frozen structs out, and an error that names key, value and what is allowed."""

import difflib
import re
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from devices.errors import SettingError

T = TypeVar("T", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_SECRET = re.compile(r"password|secret|token|key$", re.IGNORECASE)


def convert(table: Any, kind: type[T], key: str = "", also: Sequence[str] = ()) -> T:
    """Make settings of type `kind` from the TOML table found at the dotted path `key`.

    `also` are keys that somebody else took out of this table: they are named among those allowed.

    Raises:
        SettingError: an unknown key (with the nearest known one), a missing one, or a value outside what the
            field's type allows. Values of passwords are not shown.
    """
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise _explain(error, table, kind, key, also) from None


def _explain(
    error: msgspec.ValidationError, table: Any, kind: type, key: str, also: Sequence[str]
) -> SettingError:
    problem, _, at = str(error).partition(" - at `$")
    path = at.removesuffix("`")
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", path)
    where = ".".join(filter(None, [key, *(name or index for name, index in steps)]))
    if unknown := _UNKNOWN.search(problem):
        field = unknown["field"]
        allowed = _fields_at(kind, [name for name, _ in steps if name])
        allowed = sorted([*allowed, *also]) if not steps else allowed
        near = difflib.get_close_matches(field, allowed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return SettingError(
            f"{where}.{field}" if where else field,
            f"unknown key; {hint}allowed here: {', '.join(allowed)}",
        )
    if missing := _MISSING.search(problem):
        field = missing["field"]
        return SettingError(f"{where}.{field}" if where else field, "is required and missing")
    return SettingError(where, f"{_shown(table, steps, where)}is not allowed: {_lower(problem)}")


def _shown(table: Any, steps: list[tuple[str, str]], where: str) -> str:
    value = table
    try:
        for name, index in steps:
            value = value[name] if name else value[int(index)]
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    if _SECRET.search(where) and not where.endswith("_file"):
        return "(not shown) "
    return f"{value!r} "


def _lower(problem: str) -> str:
    return problem[:1].lower() + problem[1:]


def _fields_at(kind: type, names: list[str]) -> list[str]:
    """Names of the keys allowed in the table at `names` below `kind`."""
    for name in names:
        if not issubclass(kind, msgspec.Struct):
            return []
        field = next((f for f in msgspec.structs.fields(kind) if f.encode_name == name), None)
        if field is None:
            return []
        options = [field.type, *typing.get_args(field.type)]
        structs = [o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct)]
        if not structs:
            return []
        kind = structs[0]
    return sorted(f.encode_name for f in msgspec.structs.fields(kind))
