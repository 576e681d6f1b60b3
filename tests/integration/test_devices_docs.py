"""Every recipe of docs/devices.md makes the readings that stand below it, on the real thing."""

import asyncio
import contextlib
import datetime as dt
import json
import re
import socket
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from mosquitto import Mosquitto
from pty_port import SerialLine
from waiting import until

from devices.source import Home, Source
from gateway.clock import Clock
from gateway.config import GatewayConfig
from gateway.config import Ingest as IngestSettings
from gateway.ingest import Ingest
from gateway.ledger import Ledger
from gateway.sources import open_sources
from gateway.spool import Batch

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")
NOT_ON_A_PTY: Final = ("rs485", "parity", "bytesize")
"""Settings that the driver of a pseudo-terminal refuses or ignores; docs/serial.md says how they are tested."""


class Recipe(NamedTuple):
    """A section of the page: a configuration, what the device says, and what comes of it."""

    name: str
    config: str
    form: str
    said: str
    expected: str


RECIPES: Final = [
    Recipe(*found)
    for found in re.findall(
        r"^### ([^\n]+)\n(?:(?!^###).)*?```toml\n(.*?)```\n```(text|hex|messages)\n(.*?)```\n```readings\n(.*?)```",
        TEXT,
        re.DOTALL | re.MULTILINE,
    )
]


class CollectingSpool:
    """What the sources made, in their order; all of it is safe at once."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def append(self, batch: Batch) -> None:
        self.batches.append(batch)
        batch.settle()

    def has_room(self) -> bool:
        return True

    def receipts(self) -> Counter[Source]:
        return Counter()

    def lines(self) -> list[str]:
        """Each reading and dead letter as the page shows them."""
        return [
            line
            for batch in self.batches
            for line in [
                *(shown(one) for one in batch.readings),
                *(f"dead letter: {letter.reason}" for letter in batch.letters),
            ]
        ]


def shown(reading: Any) -> str:
    text = f"{reading.device} {reading.sensor} = {json.dumps(reading.value)}{' ' * bool(reading.unit)}{reading.unit}"
    if abs(reading.time - reading.received) > 3600 * 10**9:
        text += f" at {dt.datetime.fromtimestamp(reading.time / 10**9, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    return text


@contextlib.contextmanager
def serial_line(table: dict[str, Any], recipe: Recipe, folder: Path) -> Iterator[Any]:
    """A pseudo-terminal in the place of the port; yields what makes the device speak."""
    for key in NOT_ON_A_PTY:
        table.pop(key, None)
    with SerialLine(folder) as line:
        table["port"] = str(line.name)
        yield lambda: line.write(bytes_of(recipe))


@contextlib.contextmanager
def serial_server(table: dict[str, Any], recipe: Recipe) -> Iterator[Any]:
    """A TCP server in the place of the serial server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        table["port"] = f"socket://127.0.0.1:{server.getsockname()[1]}"
        links: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):  # nobody came, and the server is closed
                links.append(server.accept()[0])

        accepting = threading.Thread(target=accept)
        accepting.start()

        def speak() -> None:
            accepting.join(10)
            links[0].sendall(bytes_of(recipe))

        try:
            yield speak
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for link in links:
                link.close()


@contextlib.contextmanager
def mqtt(table: dict[str, Any], recipe: Recipe, broker: Mosquitto) -> Iterator[Any]:
    table.update(broker="127.0.0.1", port=broker.port)

    def speak() -> None:
        for line in recipe.said.splitlines():
            topic, _, payload = line.partition(" <- ")
            data = bytes.fromhex(payload[4:]) if payload.startswith("hex ") else payload.encode()
            broker.publish(topic, data)

    yield speak


def bytes_of(recipe: Recipe) -> bytes:
    if recipe.form == "hex":
        return bytes.fromhex(recipe.said)
    return recipe.said.encode()


async def made_of(table: dict[str, Any], speak: Any, expected: int) -> list[str]:
    """What becomes of it in a gateway with this source alone."""
    config = msgspec.convert({"sources": {table.pop("name"): table}}, GatewayConfig)
    spool = CollectingSpool()
    collecting: Any = spool
    ingest = Ingest(
        open_sources(config, Path("docs/devices.md"), Home("pi-7")),
        collecting,
        Ledger(),
        IngestSettings(batch_age=0.001, batch_readings=1),
        "pi-7",
        clock=Clock(trusted=True),
    )
    task = asyncio.create_task(ingest.run(lambda: None))
    try:
        await until(lambda: ingest.feeds[0].state == "connected", "the connection")
        await asyncio.to_thread(speak)
        await until(lambda: len(spool.lines()) >= expected, f"{expected} lines, not {spool.lines()}")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        ingest.flush()
        await ingest.close()
    return spool.lines()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_makes_the_readings_below_it(
    recipe: Recipe, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    [(name, table)] = tomllib.loads(recipe.config)["sources"].items()
    table["name"] = name
    if table["kind"] == "mqtt":
        setting = mqtt(table, recipe, request.getfixturevalue("broker"))
    elif table["port"].startswith("socket:"):
        setting = serial_server(table, recipe)
    else:
        setting = serial_line(table, recipe, tmp_path)
    told = recipe.expected.splitlines()

    with setting as speak:
        lines = asyncio.run(made_of(table, speak, len(told)))

    assert [line[: len(one)] for line, one in zip(lines, told, strict=True)] == told
    assert all(line == one or one.startswith("dead letter") for line, one in zip(lines, told, strict=True))


def test_every_snippet_of_the_page_is_a_recipe_that_config_check_accepts(tmp_path: Path) -> None:
    assert len(RECIPES) == TEXT.count("```toml") == TEXT.count("\n### ")
    for recipe in RECIPES:
        path = tmp_path / "gateway.toml"
        path.write_text(recipe.config)
        config = msgspec.convert(tomllib.loads(recipe.config), GatewayConfig)
        assert open_sources(config, path, Home("pi-7"))


def test_the_table_leads_to_every_recipe_and_names_its_test() -> None:
    rows = re.findall(r"^\| [^|]+ \| \[recipe\]\(#([a-z0-9-]+)\) \| `test_\w+` \|$", TEXT, re.MULTILINE)
    anchors = [re.sub(r"[^a-z0-9 -]", "", one.name.lower()).replace(" ", "-") for one in RECIPES]

    assert rows == anchors
