"""The files of a configuration: FILE, its drop-ins, the environment. Puts them together, and knows which of them says what.

Beside gateway.toml lies the folder conf.d, beside any other NAME.toml the folder NAME.d. Its files `*.toml` are read in
the order of their names, after FILE; last comes the variable that is called like FILE, GATEWAY_TOML for gateway.toml.
docs/configuration.md tells it to people.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from devices.credentials import read_file, without_passwords
from devices.errors import SettingError

FOLDER: Final = Path("/etc/gateway")

ADDED: Final = "rules"
"""The array of tables that drop-ins add to: what the later file says comes first in it, as there the first match counts."""


class ConfigError(Exception):
    """The configuration is refused. The text names file, key, value and what is allowed, on one printable line.

    Attributes:
        setting: the key and what is wrong with it, if the text names no file yet: see placed().
    """

    def __init__(self, text: str, setting: SettingError | None = None) -> None:
        text = without_passwords(text)
        super().__init__("".join(one if one.isprintable() else repr(one)[1:-1] for one in text))
        self.setting = setting


class Said(NamedTuple):
    """A value, or an array, and who says so.

    Attributes:
        value: as TOML has it; of a table in an array that drop-ins add to, the whole table.
        file: path of the file, or the variable with a `$` before it.
        place: of a table in such an array: its place in what this file says of it.
    """

    value: Any
    file: str
    place: int = 0


class Table(dict[str, "Tree"]):
    """A table, and the files that make it, in the order of reading."""

    def __init__(self, entries: "Mapping[str, Tree]", files: Iterable[str]) -> None:
        super().__init__(entries)
        self.files = list(dict.fromkeys(files))


Tree: TypeAlias = Table | list[Said] | Said
"""Of the array that drop-ins add to, a list; any other array is Said as a whole."""


class Files:
    """What the files of a configuration say together.

    Attributes:
        names: the files that were read, in this order.
        tree: each value, and who says so.
    """

    def __init__(self, layers: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """`layers`: name and content of each file, in the order of reading."""
        self.names = [name for name, _ in layers]
        self.tree = Table({}, [])
        for name, table in layers:
            stamped = _stamped(table, name)
            rules = table.get(ADDED)
            if isinstance(rules, list):
                stamped[ADDED] = [Said(rule, name, place) for place, rule in enumerate(rules)]
            self.tree = merged(self.tree, stamped)

    @property
    def table(self) -> dict[str, Any]:
        """The values alone."""
        return {key: plain(value) for key, value in self.tree.items()}

    def files_of(self, key: str) -> list[str]:
        """The files in which a dotted key stands; several, if it is a table that several make. None: it stands nowhere."""
        node, rest, _ = self._way(key)
        return [] if rest and isinstance(node, Table) else files_of(node)

    def around(self, key: str) -> list[str]:
        """The files that make the table in which a dotted key is missing."""
        node, _, _ = self._way(key)
        return self.names[:1] if node is self.tree else files_of(node) or self.names[:1]

    def local(self, key: str) -> str:
        """A dotted key as its file has it: the tables of an array that several add to are counted anew in each."""
        return self._way(key)[2]

    def _way(self, key: str) -> tuple[Tree, str, str]:
        """The innermost node on the way to a dotted key, what of the key is left there, and the key with local places."""
        node: Tree = self.tree
        rest, done = key, ""
        while rest and isinstance(node, Table):
            found = [one for one in node if rest == one or rest.startswith(f"{one}.")]
            if not found:
                break
            step = max(found, key=len)
            node, rest, done = node[step], rest[len(step) + 1 :], f"{done}{step}."
        if isinstance(node, list):
            place, _, below = rest.partition(".")
            if place.isdecimal() and int(place) < len(node):
                said = node[int(place)]
                return said, below, ".".join(filter(None, [f"{done}{said.place}", below]))
        return node, rest, key


def merged(below: Table, above: Table) -> Table:
    """Both together: tables key by key, otherwise what is above wins.

    A table whose `kind` is another one replaces the whole table, since its keys mean something else.
    """
    together = Table(below, [*below.files, *above.files])
    for key, value in above.items():
        there = below.get(key)
        if isinstance(there, Table) and isinstance(value, Table) and not _other_kind(there, value):
            together[key] = merged(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            together[key] = [*value, *there]
        else:
            together[key] = value
    return together


def plain(node: Tree) -> Any:
    """The values alone."""
    if isinstance(node, Table):
        return {key: plain(value) for key, value in node.items()}
    return [said.value for said in node] if isinstance(node, list) else node.value


def files_of(node: Tree) -> list[str]:
    """Who says so, each once."""
    if isinstance(node, Table):
        return node.files
    return list(dict.fromkeys(said.file for said in node)) if isinstance(node, list) else [node.file]


def read(path: Path) -> Files:
    """Read a file with its drop-ins and what the environment adds.

    Raises:
        ConfigError: one of them cannot be read, or is no TOML.
    """
    layers = [(str(path), _parsed(str(path), _text(path)))]
    if path.suffix == ".toml":
        layers += [(str(one), _parsed(str(one), _text(one))) for one in _drop_ins(path)]
        variable = re.sub(r"[^A-Z0-9]", "_", path.name.upper())
        if text := os.environ.get(variable):
            layers.append((f"${variable}", _parsed(f"${variable}", text)))
    return Files(layers)


def refusal(path: Path, error: SettingError) -> ConfigError:
    """The refusal of a configuration, with the file in which the mistake stands: of several, with each of them.

    Reads the files again: only who makes a mistake has to wait for that.
    """
    try:
        files = read(path)
    except ConfigError:  # gone by now
        return ConfigError(f"{path}: {error}")
    about = list(error.about or [error.key])
    names = list(dict.fromkeys(name for key in about for name in files.files_of(key)))
    names = names or files.around(error.key)
    problem = SettingError(files.local(error.key), error.problem)
    return ConfigError(f"{' and '.join(names)}: {problem}")


def placed(path: Path, error: ConfigError) -> ConfigError:
    """The same refusal with its file, if it is about a key of the configuration at `path` and names no file yet."""
    return error if error.setting is None else refusal(path, error.setting)


def usual_path(service: Literal["gateway", "detect"]) -> Path:
    """The file of a service where none is named: as $GATEWAY_CONFIG or $DETECT_CONFIG says, else in /etc/gateway."""
    return Path(os.environ.get(f"{service.upper()}_CONFIG") or FOLDER / f"{service}.toml")


def _drop_ins(path: Path) -> list[Path]:
    folder = path.with_name("conf.d" if path.name == "gateway.toml" else f"{path.stem}.d")
    try:
        files = sorted(folder.iterdir(), key=lambda file: file.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from None
    return [file for file in files if file.name.endswith(".toml") and not file.name.startswith(".")]


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None


def _parsed(name: str, text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - who only asks for the usual path needs none of it

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: is not valid TOML: nested too deep") from None


def _stamped(table: dict[str, Any], file: str) -> Table:
    return Table(
        {
            key: _stamped(value, file) if isinstance(value, dict) else Said(value, file)
            for key, value in table.items()
        },
        [file],
    )


def _other_kind(below: Table, above: Table) -> bool:
    old, new = below.get("kind"), above.get("kind")
    return isinstance(old, Said) and isinstance(new, Said) and old.value != new.value
