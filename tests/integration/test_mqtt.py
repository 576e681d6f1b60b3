"""The MQTT source on a real mosquitto: what is delivered, what is acknowledged, and when."""

import asyncio
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import mosquitto
import pytest
from fixtures_mqtt import StartBroker
from mosquitto import Mosquitto
from mqtt_sources import failure_of, settle, source_at, taking
from waiting import until, wait_until

from devices import registry
from devices.errors import SourceLost, SourceRefused
from devices.mqtt.settings import Settings
from devices.mqtt.source import MqttSource, open_source
from devices.reading import Quality
from devices.source import Home
from devices.tls import Tls
from gateway.testing import RecordingIntake


@pytest.fixture(params=[5, "3.1.1"], ids=["v5", "v3"])
def version(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_message_becomes_a_reading_named_by_its_topic(broker: Mosquitto, version: Any) -> None:
    async def scenario() -> None:
        source, intake = source_at(broker, version), RecordingIntake()
        async with taking(source, intake):
            broker.publish("plant/boiler-7/temperature", "21.5", "22")
            broker.publish("plant/pump/pressure", "3", qos=0)
            await until(lambda: len(intake.taken) == 3, "three readings")
        await source.close()
        assert [(r.source, r.device, r.sensor, r.value, r.quality) for r in intake.taken] == [
            ("plant", "boiler-7", "temperature", 21.5, Quality.GOOD),
            ("plant", "boiler-7", "temperature", 22, Quality.GOOD),
            ("plant", "pump", "pressure", 3, Quality.GOOD),
        ]
        assert intake.payloads[0].origin.place == "plant/boiler-7/temperature"
        assert intake.receipts[2] is None  # at most once: nothing to acknowledge

    asyncio.run(scenario())


def test_each_topic_may_have_its_own_decoder_device_and_sensor(broker: Mosquitto) -> None:
    topics = [
        {"pattern": "raw/#", "decoder": "scalar", "device": "meter", "sensor": "power"},
        "json/+/{device}",
    ]

    async def scenario() -> None:
        table = {"kind": "mqtt", "broker": mosquitto.HOST, "port": broker.port, "topics": topics}
        source, intake = registry.open_source("plant", table, Home("gw")), RecordingIntake()
        assert isinstance(source, MqttSource)
        async with taking(source, intake):
            broker.publish("raw/deep/down", "42")
            broker.publish("json/x/oven", '{"heat": {"top": 200}}')
            await until(lambda: len(intake.taken) == 2, "two readings")
        await source.close()
        assert [(r.device, r.sensor) for r in intake.taken] == [("meter", "power"), ("oven", "heat.top")]

    asyncio.run(scenario())


def test_what_is_not_safe_comes_again_and_says_so_and_what_is_safe_does_not(
    broker: Mosquitto, version: Any
) -> None:
    async def scenario() -> None:
        first, before = source_at(broker, version), RecordingIntake()
        async with taking(first, before):
            broker.publish("plant/b/t", *map(str, range(10)))
            await until(lambda: len(before.receipts) == 10, "ten messages")
            first.safe(before.receipts[:6])
        await first.close()
        second, after = source_at(broker, version), RecordingIntake()
        async with taking(second, after):
            await until(lambda: len(after.taken) >= 4, "four messages again")
            await settle()
            second.safe(after.receipts)
        await second.close()
        assert [r.value for r in after.taken] == [6, 7, 8, 9]
        assert {p.quality for p in after.payloads} == {Quality.REDELIVERED}
        third, last = source_at(broker, version), RecordingIntake()
        async with taking(third, last):
            await settle()
        await third.close()
        assert last.taken == []

    asyncio.run(scenario())


def test_close_acknowledges_all_that_was_safe_however_much_is_on_its_way(
    start_broker: StartBroker, version: Any
) -> None:
    """A closed socket with unread input is reset, and the acknowledgements with it."""
    broker = start_broker("max_inflight_messages 5000\nmax_queued_messages 0")
    count = 5000

    async def scenario() -> None:
        first, before = source_at(broker, version, receive_maximum=count), RecordingIntake()
        async with taking(first, before):
            pass
        await first.close()
        broker.publish("plant/b/t", *map(str, range(count)))
        async with taking(first, before):
            await until(lambda: len(before.receipts) > 100, "the first messages")
        safe = len(before.receipts)
        first.safe(before.receipts)
        await first.close()
        second, after = source_at(broker, version, receive_maximum=count), RecordingIntake()
        async with taking(second, after):
            await until(lambda: len(after.taken) >= count - safe, "the rest")
            await settle()
        await second.close()
        assert [r.value for r in after.taken] == list(range(safe, count))

    asyncio.run(scenario())


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_a_broker_that_restarts_is_a_lost_source_and_nothing_is_missing_afterwards(
    broker: Mosquitto, version: Any, way: str
) -> None:
    async def scenario() -> None:
        source, intake = source_at(broker, version), RecordingIntake()
        async with taking(source, intake) as run:
            broker.publish("plant/b/t", *map(str, range(10)))
            await until(lambda: len(intake.receipts) == 10, "ten messages")
            old = list(intake.receipts)
            await asyncio.to_thread(until_saved, broker)
            await asyncio.to_thread(getattr(broker, way))
            with pytest.raises(SourceLost, match=rf"127.0.0.1:{broker.port}"):
                await asyncio.wait_for(run, 10)
        source.safe(old[:3])  # void: that connection is gone
        await asyncio.to_thread(broker.start)
        async with taking(source, intake):
            await until(lambda: len(intake.taken) >= 20, "all of them again")
            source.safe(old)  # still void
            broker.publish("plant/b/t", "10")
            await until(lambda: len(intake.taken) >= 21, "and a new one")
        await source.close()
        assert [r.value for r in intake.taken[10:]] == list(range(11))
        assert [p.quality for p in intake.payloads[10:20]] == [Quality.REDELIVERED] * 10
        again, third = source_at(broker, version), RecordingIntake()
        async with taking(again, third):
            await until(lambda: len(third.taken) >= 11, "nothing was acknowledged by void receipts")
        await again.close()

    asyncio.run(scenario())


def until_saved(broker: Mosquitto) -> None:
    """Return when mosquitto has written its sessions, which it does each second (a kill must not lose them)."""
    stored = broker.folder / "mosquitto.db"
    begin = time.time()
    wait_until(lambda: stored.exists() and stored.stat().st_mtime > begin, "mosquitto has saved")


def test_the_broker_stalls_at_exactly_the_window_until_something_is_safe(
    start_broker: StartBroker, version: Any
) -> None:
    broker = start_broker("max_inflight_messages 7")

    async def scenario() -> None:
        source, intake = source_at(broker, version, receive_maximum=7), RecordingIntake()
        async with taking(source, intake):
            broker.publish("plant/b/t", *map(str, range(20)))
            await until(lambda: len(intake.taken) >= 7, "a window full")
            await settle()
            assert len(intake.taken) == 7
            source.safe(intake.receipts)
            await until(lambda: len(intake.taken) >= 14, "the next window")
            source.safe(intake.receipts[7:])
            await until(lambda: len(intake.taken) == 20, "the rest")
        await source.close()

    asyncio.run(scenario())


def test_a_cancelled_run_takes_nothing_more_and_the_broker_keeps_it(broker: Mosquitto, version: Any) -> None:
    async def scenario() -> None:
        source, intake = source_at(broker, version), RecordingIntake()
        async with taking(source, intake):
            broker.publish("plant/b/t", "0")
            await until(lambda: intake.receipts, "a message")
        await asyncio.to_thread(broker.publish, "plant/b/t", "1")
        await settle()
        assert [r.value for r in intake.taken] == [0]
        source.safe(intake.receipts)
        await source.close()
        async with taking(source, intake):
            await until(lambda: len(intake.taken) > 1, "what came meanwhile")
        await source.close()
        assert [r.value for r in intake.taken] == [0, 1]

    asyncio.run(scenario())


def test_an_intake_may_say_safe_within_the_call_that_hands_over(broker: Mosquitto, version: Any) -> None:
    class Swift(RecordingIntake):
        def payload(self, *args: Any, **more: Any) -> None:
            super().payload(*args, **more)
            source.safe(self.receipts[-1:])

    source = source_at(broker, version)

    async def scenario() -> None:
        intake = Swift()
        async with taking(source, intake):
            broker.publish("plant/b/t", *map(str, range(100)))
            await until(lambda: len(intake.taken) == 100, "a hundred readings")
        await source.close()

    asyncio.run(scenario())


def test_an_intake_that_fails_once_does_not_end_delivery(
    broker: Mosquitto, version: Any, logs: list[Any]
) -> None:
    class Clumsy(RecordingIntake):
        def payload(self, data: bytes, *args: Any, **more: Any) -> None:
            if data == b"1":
                raise RuntimeError("a defect")
            super().payload(data, *args, **more)

    async def scenario() -> None:
        source, intake = source_at(broker, version), Clumsy()
        async with taking(source, intake):
            broker.publish("plant/b/t", "0", "1", "2")
            await until(lambda: len(intake.taken) == 2, "the others")
            source.safe(intake.receipts)
        await source.close()
        assert "message not taken in" in [one["event"] for one in logs]
        again, later = source_at(broker, version), RecordingIntake()
        async with taking(again, later):
            await until(lambda: [r.value for r in later.taken] == [1], "the broker still has it")
        await again.close()

    asyncio.run(scenario())


def test_a_retained_message_says_so_and_comes_once_per_subscription(broker: Mosquitto) -> None:
    broker.publish("plant/b/t", "5", retain=True)

    async def scenario() -> None:
        source, intake = source_at(broker), RecordingIntake()
        for _ in range(2):
            async with taking(source, intake):
                await until(lambda: len(intake.taken) == 1, "the retained message")
                source.safe(intake.receipts)
                await settle()
            await source.close()
        assert [p.quality for p in intake.payloads] == [Quality.RETAINED]

    asyncio.run(scenario())


def test_a_payload_that_is_too_large_is_rejected_with_its_beginning(broker: Mosquitto, version: Any) -> None:
    async def scenario() -> None:
        source, intake = source_at(broker, version, max_payload=1000), RecordingIntake()
        async with taking(source, intake):
            broker.publish("plant/b/t", "7" * 10_000_000, "8")
            await until(lambda: intake.taken, "the one after it")
            source.safe(intake.receipts)
        await source.close()
        (reject,) = intake.rejects
        assert (reject.size, reject.origin.place) == (10_000_000, "plant/b/t")
        assert reject.data == b"7" * 4096
        assert "max_payload, 1000 bytes" in reject.reason

    asyncio.run(scenario())


def test_a_topic_without_valid_names_is_rejected_and_acknowledged(broker: Mosquitto, version: Any) -> None:
    async def scenario() -> None:
        source, intake = source_at(broker, version), RecordingIntake()
        async with taking(source, intake):
            for topic in ("plant//t", "plant/b/", "plant/b/" + "x" * 201, "plant/b/" + "x" * 2000):
                broker.publish(topic, "1")
            await until(lambda: len(intake.rejects) == 4, "four rejects")
            source.safe(intake.receipts)
        await source.close()
        assert ["device" in r.reason for r in intake.rejects] == [True, False, False, False]
        assert "longer than 1024" in intake.rejects[3].reason
        assert all(receipt is not None for receipt in intake.receipts)

    asyncio.run(scenario())


def test_a_wrong_password_is_refused_with_user_and_advice(
    start_broker: StartBroker, version: Any, tmp_path: Path
) -> None:
    mosquitto.password_file(tmp_path / "passwords", "gw", "right")
    broker = start_broker(f"allow_anonymous false\npassword_file {tmp_path}/passwords")
    (tmp_path / "right").write_text("right\n")

    async def scenario() -> None:
        wrong = await failure_of(source_at(broker, version, username="gw", password="wr0ng"))  # noqa: S106 - it is the point
        assert isinstance(wrong, SourceRefused)
        assert f"127.0.0.1:{broker.port} refuses user 'gw'" in str(wrong)
        assert "check username and password_file" in str(wrong)
        assert "wr0ng" not in str(wrong)
        nobody = await failure_of(source_at(broker, version))
        assert isinstance(nobody, SourceRefused)
        assert "a client without user name" in str(nobody)
        source = source_at(broker, version, username="gw", password_file=str(tmp_path / "right"))
        async with taking(source, RecordingIntake()) as run:
            assert not run.done()
        await source.close()

    asyncio.run(scenario())


def test_a_refused_subscription_is_refused_with_the_topic(
    start_broker: StartBroker, version: Any, tmp_path: Path
) -> None:
    if not (plugin := mosquitto.dynamic_security()):
        pytest.skip("mosquitto's dynamic security plugin is missing; it comes with Debian's mosquitto")
    rules = tmp_path / "rules.json"
    rules.write_text('{"defaultACLAccess": {"subscribe": false}, "clients": [], "groups": [], "roles": []}')
    broker = start_broker(f"allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {rules}")

    async def scenario() -> None:
        error = await failure_of(source_at(broker, version))
        assert isinstance(error, SourceRefused)
        assert "refuses the topic 'plant/{device}/{sensor}'" in str(error)

    asyncio.run(scenario())


def test_another_client_with_the_same_id_that_ends_the_connection_again_is_the_hint(
    broker: Mosquitto,
) -> None:
    async def scenario() -> None:
        one, two = source_at(broker), source_at(broker)
        said = []
        for _ in range(2):
            async with taking(one, RecordingIntake()) as run, taking(two, RecordingIntake()):
                with pytest.raises(SourceLost) as lost:
                    await asyncio.wait_for(run, 10)
                said.append(str(lost.value))
        await one.close()
        await two.close()
        assert said[0].endswith("closed the connection")  # a broker that stops does that too
        assert "another client with its client id" in said[1]

    asyncio.run(scenario())


def test_a_port_where_nothing_listens_is_a_lost_source(version: Any) -> None:
    async def scenario() -> None:
        port = mosquitto.free_port()
        source = open_source("plant", Settings("127.0.0.1", ["a"], port=port, version=version), Home("gw"))
        error = await failure_of(source)
        assert isinstance(error, SourceLost)
        assert f"127.0.0.1:{port} refuses connections" in str(error)

    asyncio.run(scenario())


def test_a_name_that_nobody_knows_is_a_lost_source() -> None:
    async def scenario() -> None:
        error = await failure_of(open_source("plant", Settings("broker.invalid", ["a"]), Home("gw")))
        assert isinstance(error, SourceLost)
        assert "broker.invalid:1883" in str(error)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "words",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100, b"\x20\x02\x00", b"\x20\x01\x00", b"\x90\x00", b""],
)
def test_a_server_that_speaks_no_mqtt_is_a_lost_source(version: Any, words: bytes) -> None:
    async def scenario() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(words)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, mosquitto.HOST, 0)
        port = server.sockets[0].getsockname()[1]
        settings = Settings(mosquitto.HOST, ["a"], port=port, version=version)
        async with server:
            error = await failure_of(open_source("plant", settings, Home("gw")))
        assert isinstance(error, SourceLost)
        assert f"127.0.0.1:{port}" in str(error)

    asyncio.run(scenario())


def test_a_source_cancelled_while_connecting_leaves_no_connection_behind() -> None:
    with socket.create_server((mosquitto.HOST, 0)) as mute:
        settings = Settings(mosquitto.HOST, ["a"], port=mute.getsockname()[1])

        async def scenario() -> None:
            source = open_source("plant", settings, Home("gw"))
            run = asyncio.create_task(source.run(RecordingIntake()))
            line, _ = await asyncio.to_thread(mute.accept)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            await source.close()
            with line:
                line.settimeout(5)
                while await asyncio.to_thread(line.recv, 100):
                    pass

        asyncio.run(scenario())


def test_a_broker_that_freezes_is_found_out_by_keepalive(broker: Mosquitto, version: Any) -> None:
    async def scenario() -> None:
        source = source_at(broker, version, keepalive=2)
        async with taking(source, RecordingIntake()) as run:
            broker.freeze()
            with pytest.raises(SourceLost, match="did not answer for 2 s"):
                await asyncio.wait_for(run, 10)

    asyncio.run(scenario())


def test_close_gives_up_on_a_frozen_broker_within_its_deadline(broker: Mosquitto) -> None:
    async def scenario() -> None:
        source = source_at(broker)
        async with taking(source, RecordingIntake()):
            broker.freeze()
        await asyncio.wait_for(source.close(), 5)
        await source.close()

    asyncio.run(scenario())


def test_close_before_run_does_nothing(broker: Mosquitto) -> None:
    source = source_at(broker)
    source.safe([])
    asyncio.run(source.close())


def test_tls_delivers_to_those_who_trust_the_authority_and_to_nobody_else(
    start_broker: StartBroker, version: Any, tmp_path: Path
) -> None:
    mosquitto.certificates(tmp_path)
    broker = start_broker(
        f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\nmax_inflight_messages 500"
    )

    async def scenario() -> None:
        source = source_at(broker, version, tls=Tls(ca=str(tmp_path / "ca.pem")))
        intake = RecordingIntake()
        async with taking(source, intake):
            await asyncio.to_thread(
                broker.publish, "plant/b/t", *map(str, range(500)), ca=tmp_path / "ca.pem"
            )
            await until(lambda: len(intake.taken) == 500, "all readings")
            source.safe(intake.receipts)
        await source.close()
        for tls in (True, Tls(ca=str(tmp_path / "other.pem"))):
            error = await failure_of(source_at(broker, version, tls=tls))
            assert isinstance(error, SourceRefused)
            assert "its certificate is not trusted" in str(error)
        plain = await failure_of(source_at(broker, version))
        assert isinstance(plain, SourceLost)

    asyncio.run(scenario())


def test_a_broker_that_speaks_no_tls_is_told_from_one_that_is_not_trusted(broker: Mosquitto) -> None:
    async def scenario() -> None:
        error = await failure_of(source_at(broker, tls=True))
        assert "TLS" in str(error)
        assert "trusted" not in str(error)

    asyncio.run(scenario())


def test_what_comes_in_one_tls_record_with_another_packet_is_not_left_lying(tmp_path: Path) -> None:
    """No broker here puts two packets into one record, so a server that does stands in."""
    mosquitto.certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    hello, granted = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"
    message = b"\x30\x0c\x00\x09plant/b/t1"

    def serve(mute: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(mute.accept()[0], server_side=True) as line:
            line.recv(1000)
            line.send(hello)
            line.recv(1000)
            line.send(granted + message)
            over.wait(10)

    async def scenario(port: int, over: threading.Event) -> None:
        tls = Tls(ca=str(tmp_path / "ca.pem"))
        settings = Settings(
            mosquitto.HOST,
            ["plant/{device}/{sensor}"],
            port=port,
            decoder="scalar",
            tls=tls,
            version="3.1.1",
        )
        source, intake = open_source("plant", settings, Home("gw")), RecordingIntake()
        async with taking(source, intake):
            await until(lambda: intake.taken, "the message behind the SUBACK", 3)
        over.set()
        await source.close()

    over = threading.Event()
    with socket.create_server((mosquitto.HOST, 0)) as mute:
        server = threading.Thread(target=serve, args=(mute, over))
        server.start()
        try:
            asyncio.run(scenario(mute.getsockname()[1], over))
        finally:
            over.set()
            server.join(10)


def test_a_packet_that_no_memory_should_hold_is_given_up_and_named(broker: Mosquitto) -> None:
    async def scene() -> None:
        source, intake = source_at(broker, "3.1.1"), RecordingIntake()
        task = asyncio.create_task(source.run(intake))
        await until(lambda: intake.connections, "the connection")
        await asyncio.to_thread(broker.publish, "plant/b/t", b"x" * 80_000_000)
        async with asyncio.timeout(20):
            await asyncio.wait([task])
        assert isinstance(task.exception(), SourceRefused)
        assert "message_size_limit" in str(task.exception())

    asyncio.run(scene())


def test_what_finds_no_room_waits_and_comes_in_order_when_there_is(broker: Mosquitto) -> None:
    async def scene() -> None:
        source, intake = source_at(broker), RecordingIntake()
        task = asyncio.create_task(source.run(intake))
        await until(lambda: intake.connections, "the connection")
        await asyncio.to_thread(broker.publish, "plant/b/t", "0")
        await until(lambda: len(intake.payloads) == 1, "the first")
        intake.has_room = False
        await asyncio.to_thread(broker.publish, "plant/b/t", *[str(n) for n in range(1, 100)])
        await settle()
        assert len(intake.payloads) == 1
        intake.has_room = True
        await until(lambda: len(intake.payloads) == 100, "the others")
        assert [int(payload.data) for payload in intake.payloads] == list(range(100))
        task.cancel()
        await asyncio.wait([task])
        await source.close()

    asyncio.run(scene())
