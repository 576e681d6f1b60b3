"""Typed settings: TOML tables in, frozen structs out, and an error that names key, value and what is allowed."""

import difflib
import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from devices.credentials import NOT_SHOWN, without_passwords
from devices.errors import SettingError

T = TypeVar("T", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_SECRET = re.compile(r"password|secret|token|jaas|oauthbearer\.config$|key$|key\.pem$", re.IGNORECASE)


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


def is_secret(key: str) -> bool:
    """Whether the value of a key that is called like this must not be shown."""
    return bool(_SECRET.search(key)) and not key.endswith("_file")


def without_secrets(key: str, value: Any) -> Any:
    """The value of a key, as TOML has it, as people may see it."""
    if is_secret(key) and value != "":
        return NOT_SHOWN
    if isinstance(value, dict):
        return {one: without_secrets(one, below) for one, below in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(key, one) for one in value]
    return without_passwords(value) if isinstance(value, str) else value


def _explain(
    error: msgspec.ValidationError, table: Any, kind: type, key: str, also: Sequence[str]
) -> SettingError:
    problem, _, at = str(error).partition(" - at `")
    of_key = at.startswith("key` in `")
    at = at.removeprefix("key` in `").removeprefix("$")
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", at.removesuffix("`"))
    if not of_key:
        steps = _named(table, steps, kind)
    where = ".".join(filter(None, [key, *(name or index for name, index in steps)]))
    expected = _type_at(kind, steps, table)
    if unknown := _UNKNOWN.search(problem):
        field = unknown["field"]
        allowed = sorted([*_keys(expected), *(() if steps else also)])
        near = difflib.get_close_matches(field, allowed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return SettingError(
            f"{where}.{field}" if where else field,
            f"unknown key; {hint}allowed here: {', '.join(allowed)}",
        )
    if missing := _MISSING.search(problem):
        field = missing["field"]
        return SettingError(f"{where}.{field}" if where else field, "is required and missing")
    if problem.endswith("of length >= 1"):
        return SettingError(where, "must not be empty")
    wrong = f": {_lower(problem)}"
    if description := _described(problem, expected):
        wrong = f"; allowed: {description}"
    if typing.get_origin(expected) is typing.Literal:
        wrong = f": allowed: {', '.join(sorted(repr(choice) for choice in typing.get_args(expected)))}"
    if of_key:
        return SettingError(where, f"{_wrong_key(table, steps, expected)}is no name for a key{wrong}")
    return SettingError(where, f"{_shown(table, steps, where)}is not allowed{wrong}")


def _described(problem: str, expected: Any) -> str:
    """What the pattern that `problem` quotes lets pass, in words, if the type has them; else empty.

    Every type with a pattern should: `Annotated[str, Meta(pattern=..., description=...)]`.
    """
    if "matching regex" in problem:
        for meta in _metas(expected):
            if meta.pattern is not None and meta.description and problem.endswith(f"regex {meta.pattern!r}"):
                return meta.description
    return ""


def _metas(kind: Any) -> Iterator[msgspec.Meta]:
    """The constraints in a type, and in those it is made of."""
    for part in typing.get_args(kind):
        if isinstance(part, msgspec.Meta):
            yield part
        else:
            yield from _metas(part)


def _named(table: Any, steps: list[tuple[str, str]], kind: Any) -> list[tuple[str, str]]:
    """`steps` with the name of the key in place of a `...` at their end, which stands for any key of a table."""
    if not steps or steps[-1][1] != "...":
        return steps
    for name, index in steps[:-1]:
        table = _below(table, name, index)
    allowed = typing.get_args(_bare(_type_at(kind, steps[:-1], table)))
    for key, value in table.items() if isinstance(table, dict) and len(allowed) > 1 else ():
        try:
            msgspec.convert(value, allowed[1])
        except msgspec.ValidationError:
            return [*steps[:-1], (key, "")]
    return steps


def _wrong_key(table: Any, steps: list[tuple[str, str]], expected: Any) -> str:
    """The first key of the table at `steps` that is not what a key there should be."""
    for name, _ in steps:
        table = table[name]
    for key in table:
        try:
            msgspec.convert(key, typing.get_args(expected)[0])
        except msgspec.ValidationError:
            return f"{key!r} "
    return "a key "


def _shown(table: Any, steps: list[tuple[str, str]], where: str) -> str:
    value = table
    try:
        for name, index in steps:
            value = value[name] if name else value[int(index)]
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    if is_secret(where):
        return "(not shown) "
    if isinstance(value, dict | list):  # whatever is in there, secrets perhaps
        return "a table " if isinstance(value, dict) else "an array "
    return f"{value!r} "


def _lower(problem: str) -> str:
    return problem[:1].lower() + problem[1:]


def _type_at(kind: Any, steps: list[tuple[str, str]], value: Any) -> Any:
    """The type that a value at this path below `kind` should have; None if that cannot be told.

    `value` is what stands there: of several structs that are told apart by a tag, it chooses one.
    """
    for name, index in steps:
        kind = _bare(kind)
        value = _below(value, name, index)
        if not name:  # an element of an array
            kind = _tagged(next(iter(typing.get_args(kind)), None), value)
            continue
        structs = [one for one in (kind, *typing.get_args(kind)) if _is_struct(one)]
        if structs and name == structs[0].__struct_config__.tag_field:
            tags = tuple(one.__struct_config__.tag for one in structs)
            return typing.Literal[tags]
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(structs[0])} if structs else {}
        kind = _tagged(fields.get(name), value)
    return kind


def _tagged(kind: Any, value: Any) -> Any:
    """The struct whose tag `value` bears, if `kind` is a choice of such structs; else `kind`."""
    for one in typing.get_args(kind):
        if _is_struct(one) and isinstance(value, dict):
            config = one.__struct_config__
            if config.tag_field is not None and value.get(config.tag_field) == config.tag:
                return one
    return kind


def _below(value: Any, name: str, index: str) -> Any:
    """What stands one step further; None if that cannot be told."""
    try:
        return value[name] if name else value[int(index)]
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _keys(kind: Any) -> list[str]:
    structs = [one for one in (kind, *typing.get_args(kind)) if _is_struct(one)]
    return [f.encode_name for f in msgspec.structs.fields(structs[0])] if structs else []


def _bare(kind: Any) -> Any:
    """`kind` without the constraints that Annotated puts around it."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
