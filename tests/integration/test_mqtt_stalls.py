"""Whatever the network does to a connection, the loop goes on within 100 ms, and the source says what is wrong."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import mosquitto
import pytest
from mosquitto import Mosquitto
from mqtt_sources import failure_of, source_at, taking
from proxy import Proxy
from stalls import no_stall
from waiting import until

from devices.errors import SourceLost
from devices.mqtt import source as source_module
from devices.mqtt.backlog import LIMIT
from devices.mqtt.dial import ATTEMPTS, PACKET_LIMIT
from devices.mqtt.source import MqttSource
from gateway.testing import RecordingIntake


@pytest.fixture(params=[5, "3.1.1"], ids=["v5", "v3"])
def version(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextmanager
def swallows_packets() -> Iterator[int]:
    """A port whose queue of connections is full: further SYNs get no answer."""
    with socket.socket() as hole, socket.socket() as filler, socket.socket() as filler_2:
        hole.bind((mosquitto.HOST, 0))
        hole.listen(0)
        for sock in (filler, filler_2):
            sock.setblocking(False)
            sock.connect_ex(hole.getsockname())
        yield hole.getsockname()[1]


@contextmanager
def never_answers() -> Iterator[int]:
    """A port that takes a connection, and nothing more."""
    with socket.create_server((mosquitto.HOST, 0)) as mute:
        yield mute.getsockname()[1]


@pytest.mark.parametrize(
    ("server", "tls"),
    [(swallows_packets, False), (never_answers, False), (never_answers, True)],
    ids=["no SYN-ACK", "no CONNACK", "no TLS handshake"],
)
def test_a_broker_that_does_not_answer_is_lost_at_the_deadline_and_stalls_nothing(
    server: Callable[[], Any], *, tls: bool, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "DEADLINE", 0.3)

    async def scenario(port: int) -> None:
        source = source_at(port, version, tls=tls)
        async with no_stall():
            error = await asyncio.wait_for(failure_of(source), 3)
        assert isinstance(error, SourceLost)
        assert f"127.0.0.1:{port} does not answer" in str(error)

    with server() as port:
        asyncio.run(scenario(port))


class SlowNames:
    """Name servers that say nothing about the host at `port` until they are `back`, in place of those of the machine.

    Attributes:
        asked: how often they were asked.
        waiting: how many threads hang.
    """

    def __init__(self, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.back = threading.Event()
        self.asked = self.waiting = 0
        self._port = port
        self._answer = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._ask)

    def _ask(self, host: str, port: int, *more: Any) -> Any:
        if port == self._port:
            self.asked += 1
            self.waiting += 1
            assert self.back.wait(60)
            self.waiting -= 1
        return self._answer(host, port, *more)


def test_name_servers_that_do_not_answer_stall_nothing_hold_up_few_threads_and_are_got_over(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "DEADLINE", 0.1)
    names = SlowNames(broker.port, monkeypatch)

    async def scenario() -> None:
        source, intake = source_at(broker), RecordingIntake()
        async with no_stall():
            errors = [await failure_of(source) for _ in range(ATTEMPTS + 5)]
            assert all(isinstance(error, SourceLost) for error in errors)
            assert "does not answer" in str(errors[0])
            assert "earlier attempts to connect still hang" in str(errors[-1])
            await until(lambda: names.waiting == ATTEMPTS, "the last of them hangs")
            assert names.asked == ATTEMPTS
            names.back.set()
            await until(lambda: not names.waiting, "the threads end")
            await until_connected(source, intake)
        await source.close()

    asyncio.run(scenario())


async def until_connected(source: MqttSource, intake: RecordingIntake) -> None:
    """Run it until it is connected, however often it fails before."""
    for _ in range(10):
        async with taking(source, intake) as run:
            if not run.done():
                return
    raise AssertionError("it does not connect")


@asynccontextmanager
async def scripted(*steps: bytes, pause: float = 0.0) -> AsyncIterator[int]:
    """A broker of MQTT 3.1.1 on the port yielded: takes CONNECT and SUBSCRIBE, and answers with these bytes, one by one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(1000)
        writer.write(b"\x20\x02\x01\x00")
        await reader.read(1000)
        for step in steps:
            await asyncio.sleep(pause)
            writer.write(step)
        with suppress(OSError):
            while await reader.read(1000):
                pass
        writer.close()

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(answer, mosquitto.HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


GRANTED = b"\x90\x03\x00\x01\x01"
GRANTED_LESS = b"\x90\x03\x00\x01\x00"
PONG = b"\xd0\x00"
MESSAGE = b"\x30\xdb\x0f\x00\x09plant/b/t" + b"%2000d" % 7


def test_a_session_that_takes_longer_than_the_deadline_to_come_over_a_slow_line_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source_module, "DEADLINE", 0.2)

    async def scenario() -> None:
        async with no_stall(), scripted(*[MESSAGE] * 8, GRANTED, pause=0.1) as port:
            source, intake = source_at(port, "3.1.1"), RecordingIntake()
            async with taking(source, intake) as run:
                assert not run.done()
                assert len(intake.taken) == 8
            await source.close()

    asyncio.run(scenario())


def test_a_broker_that_answers_pings_but_no_subscription_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "DEADLINE", 0.2)

    async def scenario() -> None:
        async with no_stall(), scripted(*[PONG] * 50, pause=0.05) as port:
            error = await asyncio.wait_for(failure_of(source_at(port, "3.1.1")), 2)
            assert "does not answer" in str(error)

    asyncio.run(scenario())


def test_a_broker_that_grants_less_than_was_asked_is_said(logs: list[Any]) -> None:
    async def scenario() -> None:
        async with scripted(GRANTED_LESS) as port:
            source = source_at(port, "3.1.1")
            async with taking(source, RecordingIntake()) as run:
                assert not run.done()
            await source.close()

    asyncio.run(scenario())
    assert "grants QoS 0 only" in str(logs)


def test_a_flood_that_no_window_stops_is_bounded_while_there_is_no_room_and_stalls_nothing(
    broker: Mosquitto, version: Any
) -> None:
    flood = [f"{n:100000d}" for n in range(1, 300)]

    async def scenario() -> None:
        source, intake = source_at(broker, version), RecordingIntake()
        async with no_stall(), taking(source, intake) as run:
            await asyncio.to_thread(broker.publish, "plant/b/t", "0")
            await until(lambda: intake.taken, "the first")
            intake.has_room = False
            await asyncio.to_thread(lambda: broker.publish("plant/b/t", *flood, qos=0))
            assert source._link is not None
            backlog = source._link._pump._backlog
            await until(lambda: backlog.full, "the backlog is full")
            assert backlog._bytes < LIMIT + 200_000
            intake.has_room = True
            await until(lambda: not backlog, "what was held is handed on", 30)
            await asyncio.to_thread(broker.publish, "plant/b/t", "1000")
            await until(lambda: intake.taken[-1].value == 1000, "what comes then", 30)
            assert not run.done()
        await source.close()
        values = [r.value for r in intake.taken]
        assert values == sorted(values)

    asyncio.run(scenario())


def test_a_packet_above_the_limit_is_kept_back_by_an_mqtt_5_broker_and_one_below_it_stalls_nothing(
    broker: Mosquitto,
) -> None:
    async def scenario() -> None:
        source, intake = source_at(broker), RecordingIntake()
        async with no_stall(), taking(source, intake) as run:
            for size in (PACKET_LIMIT + 1, PACKET_LIMIT - 1000):
                await asyncio.to_thread(broker.publish, "plant/b/t", b"1" * size)
            await until(lambda: intake.rejects, "the smaller one")
            await asyncio.to_thread(broker.publish, "plant/b/t", "1")
            await until(lambda: intake.taken, "a reading")
            assert not run.done()
        await source.close()
        assert [r.size for r in intake.rejects] == [PACKET_LIMIT - 1000]

    asyncio.run(scenario())


def test_a_connection_whose_packets_vanish_is_found_out_and_what_was_not_safe_comes_again(
    broker: Mosquitto, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "DEADLINE", 1)

    async def scenario(proxy: Proxy) -> None:
        source, intake = source_at(proxy.port, version, keepalive=2), RecordingIntake()
        async with no_stall():
            async with taking(source, intake) as run:
                await asyncio.to_thread(broker.publish, "plant/b/t", "1")
                await until(lambda: intake.receipts, "a message")
                proxy.silence()
                source.safe(intake.receipts)  # into the void
                error = await asyncio.wait_for(asyncio.gather(run, return_exceptions=True), 10)
            assert isinstance(error[0], SourceLost)
            assert "does not answer" in str(await failure_of(source))
            proxy.resume()
            await until_connected(source, intake)
            async with taking(source, intake):
                await asyncio.to_thread(broker.publish, "plant/b/t", "2")
                await until(lambda: intake.taken[-1].value == 2, "a message")
        await source.close()
        assert {r.value for r in intake.taken} == {1, 2}

    with Proxy(mosquitto.free_port(), broker.port) as proxy:
        asyncio.run(scenario(proxy))


def test_one_broker_in_a_black_hole_does_not_disturb_the_other(
    broker: Mosquitto, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "DEADLINE", 0.5)

    async def scenario(hole: int) -> None:
        here, away = source_at(broker, version), source_at(hole, version)
        intake = RecordingIntake()
        async with no_stall(), taking(here, intake):
            lost = asyncio.create_task(failure_of(away))
            sent = 0
            while not lost.done():
                await asyncio.to_thread(broker.publish, "plant/b/t", str(sent))
                sent += 1
                await until(lambda: len(intake.taken) == sent, "its reading")  # noqa: B023 - awaited here
        await here.close()

    with swallows_packets() as hole:
        asyncio.run(scenario(hole))
