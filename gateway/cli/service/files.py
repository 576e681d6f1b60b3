"""The files that make a service of the gateway: as they are in the wheel, and as they lie on the machine."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

DATA: Final = Path(__file__).with_name("data")
"""Where pyproject.toml puts them: they are those of systemd/, config/ and the package."""

MARK: Final = (
    "# Written by `gatewayctl service install`, and anew after each upgrade: put changes elsewhere.\n"
)

UNITS: Final = Path("/etc/systemd/system")
CONFIG: Final = Path("/etc/gateway")
PACKAGED: Final = Path("/opt/gateway")
"""Where the units of the package have the program."""

SERVICES: Final = ("gateway.service", "gateway-detect.service", "gateway@.service")
FOLDERS: Final = (CONFIG, CONFIG / "conf.d", CONFIG / "detect.d")
RIGHTS: Final = Path("/etc/tmpfiles.d/iot-edge-gateway.conf")
PORTS: Final = Path("/etc/udev/rules.d/60-gateway-serial.rules")


class Wanted(NamedTuple):
    """A file that is to be there.

    Attributes:
        path: where.
        text: what is in it.
    """

    path: Path
    text: str

    def there(self) -> bool:
        """Whether it is, with this very text."""
        try:
            return self.path.read_text(encoding="utf-8") == self.text
        except (OSError, ValueError):
            return False


def of_the_program(scripts: Path) -> list[Wanted]:
    """Files that follow the program; `scripts` is the folder with its commands."""
    units = [Wanted(UNITS / name, MARK + _moved(_data(name), scripts)) for name in SERVICES]
    others = [
        Wanted(RIGHTS, MARK + _data("tmpfiles.conf")),
        Wanted(PORTS, MARK + _data("60-gateway-serial.rules")),
    ]
    schemas = [Wanted(CONFIG / name, _data(name)) for name in ("gateway.schema.json", "detect.schema.json")]
    return [*others, *schemas, *units]


def of_the_site() -> Iterator[Wanted]:
    """Files that belong to whoever runs the machine: those that are missing. They are never overwritten."""
    if not (CONFIG / "gateway.toml").exists():
        yield Wanted(CONFIG / "gateway.toml", default_configuration())
        # Who removes it has devices of his own: it does not come back.
        yield Wanted(CONFIG / "conf.d" / "10-simulator.toml", _data("10-simulator.toml"))
    if not (CONFIG / "detect.toml").exists():
        yield Wanted(CONFIG / "detect.toml", _data("detect.toml"))


def default_configuration() -> str:
    """gateway.toml with its simulator in a file of its own, which can be removed: what a file brings no other takes away."""
    text = _data("gateway.toml")
    there = re.compile(
        r"^# Without hardware, this simulator.*\n\[sources.simulator\]\n(kind.*\n)", re.MULTILINE
    )
    return there.sub(
        r"# A simulator, as in conf.d/10-simulator.toml:\n# [sources.simulator]\n# \1", text, count=1
    )


def is_ours(path: Path) -> bool:
    """Whether this command wrote the file."""
    try:
        return path.read_text(encoding="utf-8").startswith(MARK)
    except (OSError, ValueError):
        return False


def _data(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def _moved(unit: str, scripts: Path) -> str:
    """The unit, for a program that lies elsewhere than that of the package."""
    return unit.replace(f"{PACKAGED}/bin/", f"{scripts}/").replace(f"in {PACKAGED},", f"in {scripts.parent},")
