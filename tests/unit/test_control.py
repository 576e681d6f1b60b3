import asyncio
import json
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.config import ConfigError
from gateway.control import ControlError, ask, explained
from gateway.control_server import ControlServer, StreamVerb, Verb

PING = Verb("everybody", lambda _: {})


def echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"you": request.get("said")}


async def asked(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    return await asyncio.to_thread(ask, path, request)


async def raw(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


def serve(path: Path, scene: Any) -> None:
    async def run() -> None:
        server = ControlServer(path, {"echo": Verb("everybody", echo), "ping": PING})
        await server.start()
        try:
            await scene()
        finally:
            await server.close()

    asyncio.run(run())


def test_a_request_is_answered_over_a_socket_that_everybody_may_open(tmp_path: Path) -> None:
    path = tmp_path / "run" / "d.sock"

    async def scene() -> None:
        assert await asked(path, {"verb": "echo", "said": "ü\n"}) == {"you": "ü\n"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o666

    serve(path, scene)
    assert not path.exists()


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"verb":"reboot"}\n',
        b'{"verb":[]}\n',
        b"\xff\n",
        b"[" * 3000 + b"\n",
    ],
)
def test_a_request_that_is_not_understood_is_told_what_is(tmp_path: Path, request_: bytes) -> None:
    async def scene() -> None:
        answer = json.loads(await raw(tmp_path / "d.sock", request_))
        assert "echo, ping" in answer["error"]

    serve(tmp_path / "d.sock", scene)


async def count(request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A stream: says the words it was given, then goes on until the other side has enough."""
    writer.write(request["said"].encode() + b"\n")
    await reader.read()
    writer.write(b"enough\n")


def test_a_stream_goes_on_until_the_other_side_has_enough(tmp_path: Path) -> None:
    async def scene() -> None:
        server = ControlServer(tmp_path / "d.sock", {"ping": PING, "count": StreamVerb("members", count)})
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "d.sock"))
        writer.write(b'{"verb": "count", "said": "one"}\n')
        assert await reader.readline() == b"one\n"
        assert await asked(tmp_path / "d.sock", {"verb": "ping"}) == {}, "others are answered meanwhile"
        writer.write_eof()
        assert await reader.read() == b"enough\n"
        writer.close()
        await server.close()

    asyncio.run(scene())


def test_the_end_of_the_server_ends_its_streams_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        server = ControlServer(tmp_path / "d.sock", {"count": StreamVerb("members", count)})
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "d.sock"))
        writer.write(b'{"verb": "count", "said": "one"}\n')
        assert await reader.readline() == b"one\n"
        async with asyncio.timeout(5):
            await server.close()
            assert await reader.read() == b""
        writer.close()

    asyncio.run(scene())
    assert caplog.records == []


def test_an_endless_request_is_cut_off(tmp_path: Path) -> None:
    async def scene() -> None:
        answer = await raw(tmp_path / "d.sock", b"x" * 100_000 + b"\n")
        assert b"longer than 4096 bytes" in answer

    serve(tmp_path / "d.sock", scene)


def test_what_a_dead_daemon_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()

    async def scene() -> None:
        assert await asked(path, {"verb": "ping"}) == {}

    serve(path, scene)


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.sock"

    async def scene() -> None:
        with pytest.raises(ConfigError, match="another gatewayd answers at"):
            await ControlServer(path, {}).start()
        assert await asked(path, {"verb": "ping"}) == {}, "the first one must go on"

    serve(path, scene)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(ConfigError, match="exists and is no socket"):
        asyncio.run(ControlServer(path, {}).start())

    assert path.read_text() == "data"


def test_nobody_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="is it running\\? `systemctl status gateway`"):
        ask(tmp_path / "nobody.sock", {"verb": "status"})


def test_a_daemon_that_says_nothing_in_time_is_said_to_hang(tmp_path: Path) -> None:
    for error, words in (
        (TimeoutError(), "it let the time run out"),
        (TimeoutError("timed out"), "timed out;"),
    ):
        with (
            pytest.raises(ControlError, match=f"does not answer: {words}.*`systemctl"),
            explained(tmp_path / "socket"),
        ):
            raise error  # of asyncio.timeout() without a word, of a socket with some


def test_the_quick_path_of_gatewayctl_imports_nothing_slow() -> None:
    code = "import sys, gateway.cli.main, gateway.cli.status; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert not {"asyncio", "msgspec", "structlog", "confluent_kafka", "paho", "rich"} & set(loaded.split())
