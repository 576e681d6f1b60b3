"""The page is served to whoever asks properly; whoever does not, however slow, costs little and harms nobody."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import NoReturn

import pytest
import structlog.testing
from kafka import free_ports
from waiting import until

from devices.errors import SettingError
from devices.settings import convert
from gateway.config import ConfigError, Metrics
from gateway.metrics import server
from gateway.metrics.server import MetricsServer
from gateway.metrics.text import Family, one


def families() -> list[Family]:
    return [one("gateway_up", "Yes.", value=1)]


def serve(
    scene: Callable[[int], Awaitable[None]],
    made: Callable[[], list[Family]] = families,
    host: str = "127.0.0.1",
) -> None:
    async def run() -> None:
        [port] = free_ports(1)
        async with asyncio.timeout(20), MetricsServer(Metrics(f"{host}:{port}"), made):
            await scene(port)

    asyncio.run(run())


async def asked(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def test_a_scrape_gets_the_page_as_it_is_now() -> None:
    count = iter(range(10))

    async def scene(port: int) -> None:
        for number in (b"0", b"1"):
            answer = await asked(port, b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4;")
            assert f"Content-Length: {len(body)}".encode() in head
            assert body.endswith(b"gateway_up " + number + b"\n")

    serve(scene, lambda: [one("gateway_up", "Yes.", value=next(count))])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /metrics HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_scrape_is_told_so(request_: bytes, status: bytes) -> None:
    async def scene(port: int) -> None:
        answer = await asked(port, request_)
        assert answer.split(b" ")[1] == status
        assert b"gateway_up" not in answer

    serve(scene)


def test_who_sends_nothing_or_reads_nothing_is_cut_and_others_are_served_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "DEADLINE", 0.3)
    size = 16_000_000
    huge = [one("gateway_up", "x" * size, value=1)]

    async def run() -> None:
        [port] = free_ports(1)
        async with (
            asyncio.timeout(20),
            MetricsServer(Metrics(f"127.0.0.1:{port}"), lambda: huge) as served,
        ):
            mute, silent = await asyncio.open_connection("127.0.0.1", port)
            silent.write(b"GET /met")
            with socket.create_connection(("127.0.0.1", port)) as deaf:
                deaf.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                await until(lambda: len(served._open) == 2, "both")
                assert b" 404 " in await asked(port, b"GET / HTTP/1.1\r\n\r\n")
                await until(lambda: not served._open, "the cut")
                assert await mute.read() == b""
                assert 0 < len(await asyncio.to_thread(all_of, deaf)) < size
            silent.close()

    asyncio.run(run())


def all_of(sock: socket.socket) -> bytes:
    """What came until the other side closed."""
    return b"".join(iter(lambda: sock.recv(1_000_000), b""))


def test_only_so_many_are_served_at_a_time_and_then_others_again() -> None:
    async def scene(port: int) -> None:
        with ExitStack() as stack:
            for _ in range(server.MOST):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            with pytest.raises((ConnectionResetError, AssertionError)):
                assert await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(5):
            while not await _answer(port):
                pass

    serve(scene)


async def _answer(port: int) -> bytes:
    try:
        return await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n")
    except ConnectionResetError:
        return b""


def test_a_defect_in_the_numbers_is_said_once_and_answered() -> None:
    def broken() -> list[Family]:
        raise ZeroDivisionError

    async def scene(port: int) -> None:
        for _ in range(3):
            assert b" 500 " in await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n")

    with structlog.testing.capture_logs() as logs:
        serve(scene, broken)
    assert [one["event"] for one in logs] == ["metrics are served", "metrics cannot be made"]


def test_the_end_cuts_whoever_is_connected_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        [port] = free_ports(1)
        server_ = MetricsServer(Metrics(f"127.0.0.1:{port}"), families)
        async with asyncio.timeout(5):
            async with server_:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /m")
                await until(lambda: server_._open, "the connection")
            with pytest.raises(ConnectionResetError):
                assert await reader.read() != b""
            writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(run())
    assert caplog.records == []


def test_it_moves_to_another_address_and_stays_where_it_is_if_that_is_taken() -> None:
    async def run() -> None:
        first, second, taken = free_ports(3)
        request = b"GET /metrics HTTP/1.0\r\n\r\n"
        server_ = MetricsServer(Metrics(f"127.0.0.1:{first}"), families)
        async with asyncio.timeout(5), server_:
            await server_.move(Metrics(f"0.0.0.0:{first}"))
            assert b"200 OK" in await asked(first, request)
            await server_.move(Metrics(f"127.0.0.1:{second}"))
            with pytest.raises(ConnectionRefusedError):
                await asked(first, request)
            with (
                socket.create_server(("127.0.0.1", taken)),
                pytest.raises(ConfigError, match="another program"),
            ):
                await server_.move(Metrics(f"127.0.0.1:{taken}"))
            assert b"200 OK" in await asked(second, request)
            await server_.move(Metrics())
            with pytest.raises(ConnectionRefusedError):
                await asked(second, request)

    asyncio.run(run())


def test_an_address_that_was_lost_in_a_move_can_be_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        (port,) = free_ports(1)
        server_ = MetricsServer(Metrics(f"127.0.0.1:{port}"), families)
        async with asyncio.timeout(5), server_:
            with monkeypatch.context() as patch:
                patch.setattr(server_, "_bind", _taken)
                with pytest.raises(ConfigError, match=r"127\.0\.0\.1:1"):
                    await server_.move(Metrics("127.0.0.1:1"))
            await server_.move(Metrics(f"127.0.0.1:{port}"))
            assert b"200 OK" in await asked(port, b"GET /metrics HTTP/1.0\r\n\r\n")

    asyncio.run(run())


def _taken(*_: object) -> NoReturn:
    raise OSError(errno.EADDRINUSE, "in use")


def test_nothing_is_served_unless_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with MetricsServer(Metrics(), families):
            pass

    monkeypatch.setattr(asyncio, "start_server", None)
    asyncio.run(run())


def test_a_port_that_another_program_has_is_refused_with_file_and_key() -> None:
    async def run(port: int) -> None:
        async with MetricsServer(Metrics(f"127.0.0.1:{port}"), families):
            pass

    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigError) as error:
        asyncio.run(run(other.getsockname()[1]))
    assert str(error.value).startswith("metrics.listen: '127.0.0.1:")
    assert str(error.value).endswith("another program listens there; stop it, or name another port")


def test_an_address_that_the_machine_does_not_have_yet_is_waited_for() -> None:
    async def run() -> None:
        async with MetricsServer(Metrics("192.0.2.7:9464"), families):
            pass

    with structlog.testing.capture_logs() as logs:
        asyncio.run(run())
    assert [one["event"] for one in logs] == ["metrics wait for their address", "metrics are served"]


def test_ipv6_is_served_too() -> None:
    async def scene(port: int) -> None:
        assert b"gateway_up 1" in await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n", "::1")

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    serve(scene, host="[::1]")


@pytest.mark.parametrize(
    "listen", ["", "127.0.0.1:9464", "0.0.0.0:1", "192.168.1.255:65535", "[::1]:9464", "[::]:80"]
)
def test_an_address_and_a_port_are_accepted(listen: str) -> None:
    assert convert({"listen": listen}, Metrics, "metrics").listen == listen


@pytest.mark.parametrize(
    "listen",
    [
        "9464",
        ":9464",
        "localhost:9464",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:09464",
        "256.0.0.1:9464",
        "1.2.3:9464",
        "1.2.3.4.5:9464",
        "::1:9464",
        "[pi]:9464",
        "127.0.0.1:9464\n",
        " 127.0.0.1:9464",
        9464,
        None,
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(listen: object) -> None:
    with pytest.raises(SettingError, match=r"metrics\.listen") as error:
        convert({"listen": listen}, Metrics, "metrics")
    assert not isinstance(listen, str) or "ADDRESS:PORT with an address in digits" in str(error.value)
