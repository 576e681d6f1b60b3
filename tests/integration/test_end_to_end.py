"""The whole way, on a real mosquitto, a real pseudo-terminal and a real Kafka, through the gatewayd that is installed."""

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from fixtures_mqtt import StartBroker
from kafka import KafkaServer
from mosquitto import Mosquitto
from pty_port import SerialLine
from waiting import wait_until

from gateway import wire
from gateway.config import Kafka
from gateway.kafka.client import KafkaUnavailableError
from gateway.kafka.embedded import EmbeddedKafka
from gateway.kafka.topics import ensure_topics

READINGS = 10_000


@pytest.fixture
def broker(start_broker: StartBroker) -> Mosquitto:
    """A broker with room for what the gateway has not yet read: mosquitto's own default drops beyond 1,000."""
    return start_broker("max_queued_messages 0")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def serial(line: SerialLine, more: str = "") -> str:
    return f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n{more}\n'


def mqtt(broker: Mosquitto, more: str = "") -> str:
    return (
        f'[sources.plant]\nkind = "mqtt"\nbroker = "127.0.0.1"\nport = {broker.port}\n'
        f'topics = ["plant/{{device}}/{{sensor}}"]\n{more}\n'
    )


def readings(server: KafkaServer, topic: str = "readings") -> list[wire.Reading]:
    """All readings in the topic; each record keyed by its device."""
    records = server.read_all(topic)
    found = [wire.decode_reading(record.value() or b"") for record in records]
    for record, reading in zip(records, found, strict=True):
        assert record.key() == f"pi-7/{reading.device}".encode()
    return found


def assert_each_once_in_order(found: list[wire.Reading], source: str, devices: int, each: int) -> None:
    """The values of each device of this source are 0, 1, 2, ... in this order, and no reading came twice."""
    mine = [reading for reading in found if reading.source == source]
    by_device: dict[str, list[object]] = {}
    for reading in mine:
        by_device.setdefault(reading.device, []).append(reading.value)
    assert len(by_device) == devices
    for device, values in by_device.items():
        assert values == list(range(each)), f"{device}: order, loss or repetition"


def assert_nothing_lost(found: list[wire.Reading], source: str, devices: int, each: int) -> None:
    """As assert_each_once_in_order, but for what the broker sent again, and that is marked as such."""
    once: dict[tuple[str, object], wire.Reading] = {}
    for reading in found:
        if (reading.device, reading.value) in once:
            assert "redelivered" in reading.flags, f"a repetition that is not marked: {reading}"
        else:
            once[reading.device, reading.value] = reading
    assert_each_once_in_order(list(once.values()), source, devices, each)


def feed(line: SerialLine, first: int, end: int, devices: int = 4) -> None:
    """Write numbered lines of several devices."""
    for start in range(first, end, 100):
        numbers = range(start, min(start + 100, end))
        text = "".join(f"device=press-{n % devices} count={n // devices}\n" for n in numbers)
        line.write(text.encode())


def publish(broker: Mosquitto, first: int, end: int, devices: int = 4) -> None:
    """Publish numbered values of several devices, in order per device."""
    for device in range(devices):
        numbers = [n // devices for n in range(first, end) if n % devices == device]
        broker.publish(f"plant/boiler-{device}/count", *[str(number) for number in numbers])


def test_ten_thousand_readings_of_each_source_arrive_once_and_in_order(
    tmp_path: Path, own_kafka: KafkaServer, broker: Mosquitto, line: SerialLine
) -> None:
    simulator = f'[sources.sim]\nkind = "simulator"\ninterval = 0\ntotal = {READINGS}\n'
    sources = serial(line) + mqtt(broker) + simulator
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, sources) as daemon:
        wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")
        writer = threading.Thread(target=feed, args=(line, 0, READINGS))
        writer.start()
        publish(broker, 0, READINGS)
        writer.join()
        for source in ("line", "plant", "sim"):
            wait_until(lambda s=source: daemon.delivered(s) == READINGS, f"all readings of {source}", 60)  # type: ignore[misc]
        daemon.stop()

    found = readings(own_kafka)
    assert Counter(reading.source for reading in found) == dict.fromkeys(["line", "plant", "sim"], READINGS)
    assert_each_once_in_order(found, "line", 4, READINGS // 4)
    assert_each_once_in_order(found, "plant", 4, READINGS // 4)
    simulated = [reading for reading in found if reading.source == "sim"]
    assert all(reading.flags == ("simulated",) for reading in simulated)
    assert len({reading.seq for reading in found}) == 3 * READINGS
    for device in {reading.device for reading in simulated}:
        times = [reading.time for reading in simulated if reading.device == device]
        assert times == sorted(times)


def test_reading_resumes_by_itself_when_the_line_is_plugged_in_again(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, serial(line)) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        feed(line, 0, 100)
        line.write(b"device=press-0 count=99")  # in mid-line, and half a number at that
        wait_until(lambda: daemon.delivered("line") == 100, "what was sent before")
        line.hang_up()
        wait_until(lambda: daemon.state("line") == "lost", "the loss to be noticed")
        wait_until(lambda: "no such port" in str(daemon.status()["reasons"]), "the status to say so")
        line.plug_in()
        wait_until(lambda: daemon.state("line") == "connected", "the port again")
        feed(line, 100, 200)
        wait_until(lambda: daemon.delivered("line") == 200, "what was sent after")
        daemon.stop()

    assert_each_once_in_order(readings(own_kafka), "line", 4, 50)
    [letter] = [wire.decode_dead_letter(r.value() or b"") for r in own_kafka.read_all("dead-letters")]
    assert letter.payload == b"device=press-0 count=99"
    assert "cut off in mid-frame" in letter.reason


def test_a_restarted_mosquitto_costs_nothing(
    tmp_path: Path, own_kafka: KafkaServer, broker: Mosquitto
) -> None:
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, mqtt(broker)) as daemon:
        wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")
        publish(broker, 0, 400)
        wait_until(lambda: daemon.delivered("plant") == 400, "what was sent before")
        broker.stop()
        wait_until(lambda: daemon.state("plant") == "lost", "the loss to be noticed")
        broker.start()
        publish(broker, 400, 800)
        # An acknowledgement may have died with the broker: what it stood for comes again.
        wait_until(lambda: daemon.delivered("plant") >= 800, "what was sent after")
        daemon.stop()

    assert_nothing_lost(readings(own_kafka), "plant", 4, 200)


@pytest.mark.timeout(180)
def test_twenty_seconds_without_kafka_cost_nothing(
    tmp_path: Path, own_kafka: KafkaServer, broker: Mosquitto, line: SerialLine
) -> None:
    sources = serial(line) + mqtt(broker)
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, sources) as daemon:
        wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")
        feed(line, 0, 100)
        publish(broker, 0, 100)
        wait_until(
            lambda: daemon.delivered("line") == daemon.delivered("plant") == 100, "what was sent before"
        )
        own_kafka.stop()
        outage = threading.Event()
        threading.Timer(20.0, outage.set).start()
        feed(line, 100, 500)
        publish(broker, 100, 500)
        wait_until(lambda: daemon.status()["kafka"]["reachable"] is False, "the outage to be noticed")
        status = daemon.status()
        assert status["health"] == "degraded"
        assert "Kafka is unreachable, readings are kept" in str(status["reasons"])
        assert outage.wait(30)
        own_kafka.start()
        wait_until(
            lambda: daemon.delivered("line") == daemon.delivered("plant") == 500, "everything after it", 60
        )
        wait_until(lambda: daemon.status()["health"] == "healthy", "health again")
        daemon.stop()

    found = readings(own_kafka)
    assert_each_once_in_order(found, "line", 4, 125)
    assert_each_once_in_order(found, "plant", 4, 125)


def test_sigterm_in_the_middle_loses_nothing_that_mqtt_had_sent(
    tmp_path: Path, own_kafka: KafkaServer, broker: Mosquitto
) -> None:
    total = 20_000
    daemon = Daemon(tmp_path / "gw", own_kafka.bootstrap, mqtt(broker))
    with daemon:
        wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")
        publish(broker, 0, 4)
        wait_until(lambda: daemon.delivered("plant") == 4, "the way to Kafka to be open")
        sender = threading.Thread(target=publish, args=(broker, 4, total))
        sender.start()
        wait_until(lambda: daemon.delivered("plant") > total // 100, "a part of it")
        assert daemon.stop() < 15
        sender.join()
    before = len(own_kafka.read_all("readings"))
    assert before < total, "the stop came too late to be in the middle"
    with daemon:
        wait_until(lambda: len({(r.device, r.value) for r in readings(own_kafka)}) == total, "the rest", 60)
        daemon.stop()

    assert_nothing_lost(readings(own_kafka), "plant", 4, total // 4)


def test_a_gateway_that_starts_without_kafka_delivers_when_it_comes(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    own_kafka.stop()
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, serial(line)) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port, though Kafka is away")
        feed(line, 0, 100)
        wait_until(lambda: daemon.status()["spool"]["readings"] == 100, "readings to be kept")
        own_kafka.start()
        wait_until(lambda: daemon.delivered("line") == 100, "the delivery", 60)
        daemon.stop()

    assert_each_once_in_order(readings(own_kafka), "line", 4, 25)


def test_what_was_spooled_in_an_outage_survives_kill_9_and_is_delivered_once_in_order(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    own_kafka.stop()
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, serial(line)) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        feed(line, 0, 400)
        wait_until(lambda: daemon.status()["spool"]["on_disk"] == 400, "readings to be on disk")
        daemon.kill()
    own_kafka.start()
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, serial(line)) as daemon:
        wait_until(lambda: daemon.delivered("line") == 400, "what the first one had on disk", 60)
        feed(line, 400, 800)
        wait_until(lambda: daemon.delivered("line") == 800, "and what came after", 60)
        assert daemon.status()["ledger"]["balanced"]
        daemon.stop()

    assert_each_once_in_order(readings(own_kafka), "line", 4, 200)


def test_a_record_that_kafka_refuses_becomes_a_dead_letter_and_the_rest_goes_on(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    own_kafka.create_topic("readings", max__message__bytes="2000")
    own_kafka.create_topic("dead-letters")
    settings = '[kafka.options]\n"compression.type" = "none"\n'
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, serial(line), settings) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        feed(line, 0, 40)
        line.write(f'device=press-9 state="{"x" * 3000}"\n'.encode())
        feed(line, 40, 80)
        wait_until(lambda: daemon.ledger("line")["readings"]["refused"] == 1, "the refusal", 60)
        wait_until(lambda: daemon.delivered("line") == 80, "the others", 60)
        daemon.stop()

    assert sorted(Counter(r.device for r in readings(own_kafka)).values()) == [20] * 4
    [letter] = [wire.decode_dead_letter(r.value() or b"") for r in own_kafka.read_all("dead-letters")]
    assert letter.reason.startswith("refused by Kafka: ")
    assert wire.decode_reading(letter.payload).device == "press-9"


def test_a_backlog_larger_than_the_spool_waits_at_the_broker_while_kafka_is_away(
    tmp_path: Path, own_kafka: KafkaServer, broker: Mosquitto
) -> None:
    messages, packed = 1200, 50
    noise = random.Random(1)  # does not compress
    said = [[f"{message} {noise.randbytes(100).hex()}" for _ in range(packed)] for message in range(messages)]
    own_kafka.stop()
    settings = "[spool]\ndisk_bytes = 8000000\n"
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, mqtt(broker), settings) as daemon:
        wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")
        payloads = [json.dumps({f"s{n}": text for n, text in enumerate(texts)}).encode() for texts in said]
        broker.publish("plant/boiler-1/all", *payloads)
        wait_until(lambda: daemon.status()["spool"]["bytes"] > 4_000_000, "the spool to be half full")
        status = daemon.status()
        assert status["spool"]["bytes"] <= 8_000_000
        assert status["spool"]["readings"] < messages * packed
        assert status["ledger"]["sources"]["plant"]["readings"]["dropped"] == {}
        own_kafka.start()
        wait_until(lambda: daemon.delivered("plant") == messages * packed, "all of it", 60)
        assert daemon.ledger("plant")["readings"]["dropped"] == {}
        daemon.stop()

    by_sensor: dict[str, list[object]] = {}
    for reading in readings(own_kafka):
        by_sensor.setdefault(reading.sensor, []).append(reading.value)
    assert len(by_sensor) == packed
    for n in range(packed):
        [name] = [name for name in by_sensor if re.search(rf"\bs{n}$", name)]
        assert by_sensor[name] == [texts[n] for texts in said]


def test_what_a_serial_line_said_just_before_sigterm_is_delivered(
    tmp_path: Path, kafka: KafkaServer, line: SerialLine, topic: str
) -> None:
    settings = f'readings_topic = "{topic}"\n[ingest]\nbatch_age = 30.0\n'
    with Daemon(tmp_path / "gw", kafka.bootstrap, serial(line), settings) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        feed(line, 0, 400)
        wait_until(lambda: daemon.ledger("line")["readings"]["made"] == 400, "the readings to be taken")
        assert daemon.delivered("line") == 0, "the batch is still open"
        daemon.stop()

    assert_each_once_in_order(readings(kafka, topic), "line", 4, 100)


def test_an_orderly_stop_leaves_nothing_to_be_sent_again(
    tmp_path: Path, kafka: KafkaServer, broker: Mosquitto, topic: str
) -> None:
    daemon = Daemon(tmp_path / "gw", kafka.bootstrap, mqtt(broker), f'readings_topic = "{topic}"\n')
    with daemon:
        wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")
        publish(broker, 0, 400)
        wait_until(lambda: daemon.ledger("plant")["readings"]["made"] == 400, "the readings to be taken")
        daemon.stop()
    publish(broker, 400, 404)
    with daemon:
        wait_until(lambda: daemon.delivered("plant") == 404, "what was sent in between, and only that")
        daemon.stop()

    found = readings(kafka, topic)
    assert_each_once_in_order(found, "plant", 4, 101)
    assert all(reading.flags == () for reading in found)


def test_the_simulator_stands_in_for_a_port_that_is_away_and_steps_back(
    tmp_path: Path, kafka: KafkaServer, line: SerialLine, topic: str
) -> None:
    line.hang_up()
    fallback = 'fallback = "simulator"\nfallback_after = 0.2\nsimulator = { count = 1, interval = 0.05 }\n'
    settings = f'readings_topic = "{topic}"\n'
    with Daemon(tmp_path / "gw", kafka.bootstrap, serial(line, fallback), settings) as daemon:
        wait_until(lambda: daemon.delivered("line") > 10, "simulated readings")
        [source] = daemon.status()["sources"]
        assert source["standing_in"]
        assert "simulated readings stand in" in str(daemon.status()["reasons"])
        line.plug_in()
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        wait_until(lambda: not daemon.status()["sources"][0]["standing_in"], "the stand-in to leave")
        feed(line, 0, 100)
        wait_until(lambda: "press-3" in str(readings(kafka, topic)), "real readings")
        daemon.stop()

    found = readings(kafka, topic)
    flags = ["simulated" in reading.flags for reading in found]
    assert {reading.source for reading in found} == {"line"}
    assert all("simulated" in r.flags for r in found if r.device.startswith("sim-"))
    real = [reading for reading in found if not reading.flags]
    assert_each_once_in_order(real, "line", 4, 25)
    assert any(flags)


def test_a_topic_for_dead_letters_that_is_not_there_holds_up_no_reading(
    tmp_path: Path, kafka: KafkaServer, line: SerialLine, topic: str
) -> None:
    kafka.create_topic(topic)
    settings = f'readings_topic = "{topic}"\ndead_letters_topic = "{topic}-none"\ncreate_topics = false\n'
    with Daemon(tmp_path / "gw", kafka.bootstrap, serial(line), settings) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        line.write(b"t=1\n%%%%\nt=2\n")
        wait_until(lambda: daemon.delivered("line") == 2, "the readings around it", 60)
        line.write(b"t=3\n")
        wait_until(lambda: daemon.delivered("line") == 3, "the reading after it", 60)
        assert daemon.ledger("line")["dead_letters_dropped"] == 1
        assert daemon.events("dead letter refused by kafka")
        daemon.stop()


def test_a_reading_that_no_dead_letter_can_hold_is_counted_and_said(
    tmp_path: Path, own_kafka: KafkaServer, line: SerialLine
) -> None:
    own_kafka.create_topic("readings", max__message__bytes="1000")
    own_kafka.create_topic("dead-letters", max__message__bytes="1000")
    settings = '[kafka.options]\n"compression.type" = "none"\n'
    with Daemon(tmp_path / "gw", own_kafka.bootstrap, serial(line), settings) as daemon:
        wait_until(lambda: daemon.state("line") == "connected", "the port")
        line.write(f'device=press-9 state="{"x" * 4000}"\nt=1\n'.encode())
        wait_until(lambda: daemon.delivered("line") == 1, "the other one", 60)
        ledger = daemon.ledger("line")
        assert ledger["readings"]["refused"] == 1
        assert ledger["dead_letters_dropped"] == 1
        daemon.stop()


def test_a_cluster_that_does_not_say_whether_it_made_a_topic_is_asked_again() -> None:
    with EmbeddedKafka() as mock:
        config = Kafka(bootstrap_servers=mock.bootstrap_servers, readings_topic="new")
        with pytest.raises(KafkaUnavailableError):
            ensure_topics(config, "test", ["new"])
