"""The file that says what a session at a broker may hold."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import registry
from devices.mqtt import session
from devices.mqtt.session import Session, orphans
from devices.source import NO_HOME, Home

FILE = "plant.mqtt-session"


def held(folder: Path, host: str = "a", client_id: str = "gw:plant") -> frozenset[str]:
    return asyncio.run(Session(folder, "plant", [host], client_id).held())


def remember(folder: Path, *filters: str) -> None:
    asyncio.run(Session(folder, "plant", ["a", "b"], "gw:plant").remember(frozenset(filters)))


def test_what_is_remembered_is_held_by_the_next_process(tmp_path: Path) -> None:
    remember(tmp_path / "sources", "x/+", "é/#")
    assert held(tmp_path / "sources") == {"x/+", "é/#"}
    assert held(tmp_path / "sources", host="b") == {"x/+", "é/#"}
    assert [path.name for path in (tmp_path / "sources").iterdir()] == [FILE]


@pytest.mark.parametrize(("host", "client_id"), [("c", "gw:plant"), ("a", "other")])
def test_the_session_of_another_broker_or_client_is_named_with_the_command_that_ends_it(
    tmp_path: Path, logs: list[Any], host: str, client_id: str
) -> None:
    remember(tmp_path, "x")
    assert held(tmp_path, host, client_id) == frozenset()
    [one] = logs
    assert (one["event"], one["source"]) == ("session left behind", "plant")
    assert "the session 'gw:plant' this source used before goes on queueing" in one["problem"]
    assert "mosquitto_sub -h a -i 'gw:plant' -t x -E" in one["problem"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b'{"hosts":["a"]', b'{"hosts":["a"],"client_id":7,"filters":[]}', b"[]", b"\xff"],
)
def test_a_damaged_file_is_said_and_replaced(tmp_path: Path, logs: list[Any], content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)

    async def scenario() -> None:
        one = Session(tmp_path, "plant", ["a"], "gw:plant")
        assert await one.held() == frozenset()
        await one.remember(frozenset({"x"}))

    asyncio.run(scenario())
    [one] = logs
    assert (one["event"], one["source"]) == ("session file cannot be read", "plant")
    assert (one["file"], one["problem"]) == (str(tmp_path / FILE), "it is damaged")
    assert held(tmp_path) == {"x"}


@given(st.binary(max_size=200))
def test_no_content_keeps_a_source_from_its_work(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / FILE).write_bytes(content)
    held(folder)
    list(orphans(folder, []))


def test_a_disk_that_does_not_take_it_is_tried_again_and_does_not_hold_up_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    full = True

    def write(path: Path, data: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(session, "replace", write)

    async def scenario() -> None:
        nonlocal full
        one = Session(tmp_path, "plant", ["a"], "gw:plant")
        await one.remember(frozenset({"x"}))
        assert await one.held() == {"x"}
        full = False
        await one.remember(frozenset({"x"}))

    asyncio.run(scenario())
    [one] = logs
    assert (one["event"], one["problem"]) == ("session file cannot be written", "No space left on device")
    assert held(tmp_path) == {"x"}


def test_a_source_that_left_the_configuration_or_became_another_kind_is_named(tmp_path: Path) -> None:
    remember(tmp_path, "x")
    (tmp_path / "broken.mqtt-session").write_bytes(b"?")
    home = Home("gw", tmp_path)
    assert registry.left_behind(home, {"plant": {"kind": "mqtt"}}) == []
    for tables in ({}, {"plant": {"kind": "serial"}}):
        [sentence] = registry.left_behind(home, tables)
        assert "the session 'gw:plant' of the source plant, which left the configuration," in sentence
        assert f"then delete {tmp_path / FILE}" in sentence
    assert registry.left_behind(NO_HOME, {}) == []
    assert registry.left_behind(Home("gw", tmp_path / "absent"), {}) == []
