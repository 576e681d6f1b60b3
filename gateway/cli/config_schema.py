"""Print the JSON Schema of gateway.toml or detect.toml, for editors: completion, descriptions, and typing mistakes in red.

It holds for drop-ins too, so it calls no key missing: `gatewayctl config check` does. Editors with taplo (Even Better TOML)
find it by a line such as `#:schema ./gateway.schema.json` in the file.

Exit code: 0.

example: gatewayctl config schema detect > detect.schema.json
"""

import argparse
import inspect
import json
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

_REF: Final = "#/definitions/{name}"

_ATTRIBUTE: Final = re.compile(r"    ([a-z_0-9]+(?:, [a-z_0-9]+)*): (\S.*)")
_CONTINUED: Final = " " * 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument(
        "service",
        nargs="?",
        choices=("gateway", "detect"),
        default="gateway",
        help="of gateway.toml (the default) or of detect.toml",
    )
    parser.add_argument("--json", action="store_true", help="accepted for uniformity: it is JSON always")


def run(options: argparse.Namespace) -> int:
    """Make it, and print."""
    sys.stdout.write(json.dumps(schema(options.service), indent=2) + "\n")
    return 0


def schema(service: str) -> dict[str, Any]:
    """The JSON Schema (draft 7, which all editors know) of the file of a service."""
    if service == "detect":
        from gateway.detect.config import DetectConfig  # noqa: PLC0415 - what is needed, no more

        made = _Definitions([DetectConfig])
        made.drop("required", made.of(DetectConfig))
        return _whole("detect", made, DetectConfig)
    from devices.decoders import DECODERS  # noqa: PLC0415
    from devices.framing import FRAMINGS  # noqa: PLC0415
    from devices.registry import KINDS, settings_type  # noqa: PLC0415
    from gateway.config import GatewayConfig, SourceKeys  # noqa: PLC0415

    kinds = {kind: settings_type(kind, "") for kind in KINDS}
    decoders, framings = _settings(DECODERS), _settings(FRAMINGS)
    made = _Definitions([GatewayConfig, SourceKeys, *kinds.values(), *decoders.values(), *framings.values()])
    choices = {"decoder": _choice(made, decoders), "framing": _choice(made, framings)}
    for definition in made.definitions.values():
        for name, choice in choices.items():
            if name in definition.get("properties", {}):
                told = definition["properties"][name].get("description", "")
                definition["properties"][name] = {"description": told, **choice}
    made.drop("required", made.of(GatewayConfig))
    common = made.of(SourceKeys)["properties"]
    common["simulator"] = {**common["simulator"], **made.ref(kinds["simulator"])}
    for kind, settings in kinds.items():
        own = made.of(settings)
        made.drop("required", own)
        made.definitions[f"source-{kind}"] = {
            **own,
            "title": f"source of kind {kind}",
            "properties": {**common, "kind": {"const": kind}, **own["properties"]},
        }
    sources = made.of(GatewayConfig)["properties"]["sources"]
    sources["description"] = "Where readings come from: one table each, named as you like."
    sources["additionalProperties"] = _by_kind(
        {kind: {"$ref": _REF.format(name=f"source-{kind}")} for kind in kinds}, []
    )
    return _whole("gateway", made, GatewayConfig)


def _whole(service: str, made: "_Definitions", kind: type) -> dict[str, Any]:
    whole = made.of(kind)
    whole["properties"] = {
        name: {key: value for key, value in one.items() if key != "default" or not isinstance(value, dict)}
        for name, one in whole["properties"].items()
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"{service}.toml",
        **{key: value for key, value in whole.items() if key != "title"},
        "definitions": made.reachable(whole),
    }


def _settings(modules: Mapping[str, str]) -> dict[str, type]:
    import importlib  # noqa: PLC0415

    return {name: importlib.import_module(module).Settings for name, module in modules.items()}


def _choice(made: "_Definitions", kinds: Mapping[str, type]) -> dict[str, Any]:
    """A name alone, or a table with `kind` and its options."""
    for name, settings in kinds.items():
        own = made.of(settings)
        own["properties"] = {"kind": {"const": name}, **own.get("properties", {})}
        own["title"] = name
    tables = {name: made.ref(settings) for name, settings in kinds.items()}
    return _by_kind(tables, [{"enum": ["", *kinds]}])


def _by_kind(tables: Mapping[str, dict[str, str]], others: list[dict[str, Any]]) -> dict[str, Any]:
    """Tables that their `kind` tells apart, or one of the others.

    Editors complete from the first `anyOf`, which refuses nothing; by the rest they name the very key that is wrong, and
    not only that no kind fits. A table without a kind, as in a drop-in, may be of any.
    """
    choices = [*others, *tables.values()]
    known = {"type": "object", "properties": {"kind": {"enum": list(tables)}}, "required": ["kind"]}
    cases = [
        {"if": {**known, "properties": {"kind": {"const": kind}}}, "then": table}
        for kind, table in tables.items()
    ]
    return {"anyOf": [*choices, True], "allOf": [*cases, {"if": {"not": known}, "then": {"anyOf": choices}}]}


class _Definitions:
    """The schemas of struct types and of all that they are made of, with what their docstrings say of each key."""

    def __init__(self, kinds: list[type]) -> None:
        import msgspec  # noqa: PLC0415 - --help needs none of it

        classes = list(dict.fromkeys(one for kind in kinds for one in _structs(kind, set())))
        refs, self.definitions = msgspec.json.schema_components(classes, ref_template=_REF)
        prefix = _REF.format(name="")
        self._names = {one: ref["$ref"].removeprefix(prefix) for one, ref in zip(classes, refs, strict=True)}
        for one, name in self._names.items():
            definition = self.definitions[name] = _plain_patterns(self.definitions[name])
            definition["description"] = inspect.cleandoc(one.__doc__ or "").partition("\n\n")[0]
            definition["title"] = one.__name__
            told = _attributes(one)
            for key, described in definition.get("properties", {}).items():
                if key in told:
                    described["description"] = told[key]

    def of(self, kind: type) -> dict[str, Any]:
        """The definition of a type; may be changed."""
        definition: dict[str, Any] = self.definitions[self._names[kind]]
        return definition

    def ref(self, kind: type) -> dict[str, str]:
        """What refers to it."""
        return {"$ref": _REF.format(name=self._names[kind])}

    def reachable(self, node: Any) -> dict[str, Any]:
        """Those definitions that `node` leads to."""
        found: dict[str, Any] = {}
        waiting = list(_refs(node))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self.definitions[name]
                waiting += _refs(found[name])
        return dict(sorted(found.items()))

    @staticmethod
    def drop(word: str, definition: dict[str, Any]) -> None:
        """Take a word of the schema out of a definition."""
        definition.pop(word, None)


def _structs(kind: Any, seen: set[Any]) -> Iterator[type]:
    """The struct types that a type is made of, itself included."""
    import msgspec  # noqa: PLC0415

    if kind in seen:
        return
    seen.add(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _structs(field.type, seen)
    for part in typing.get_args(kind):
        if not isinstance(part, msgspec.Meta | str | int | float):
            yield from _structs(part, seen)


def _attributes(kind: type) -> dict[str, str]:
    """What the docstrings of a type and of those it derives from say of each key."""
    told: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        names: list[str] = []
        for line in inspect.cleandoc(one.__doc__ or "").splitlines():
            if found := _ATTRIBUTE.fullmatch(line):
                names = found[1].split(", ")
                told.update(dict.fromkeys(names, found[2]))
            elif names and line.startswith(_CONTINUED):
                told.update({name: f"{told[name]} {line.strip()}" for name in names})
            else:
                names = []
    return told


def _plain_patterns(node: Any) -> Any:
    r"""The same with `$` in place of `\Z`, which is Python's alone."""
    if isinstance(node, dict):
        return {
            key: re.sub(r"\\Z$", "$", value)
            if key == "pattern" and isinstance(value, str)
            else _plain_patterns(value)
            for key, value in node.items()
        }
    return [_plain_patterns(one) for one in node] if isinstance(node, list | tuple) else node


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value.removeprefix(_REF.format(name=""))
            else:
                yield from _refs(value)
    elif isinstance(node, list):
        for one in node:
            yield from _refs(one)
