"""What the gateway says of itself at the broker, on a real mosquitto."""

import asyncio
import json
from pathlib import Path
from typing import Any

import mosquitto
import pytest
from daemon import Daemon
from fixtures_mqtt import StartBroker
from mosquitto import Mosquitto
from mqtt_sources import settle, source_at, taking
from proxy import Proxy
from waiting import until, wait_until

from gateway.testing import RecordingIntake

TOPIC = "gateways/{gateway}/{source}/status"
PLACE = "gateways/gw/plant/status"


@pytest.fixture(params=[5, "3.1.1"], ids=["v5", "v3"])
def version(request: pytest.FixtureRequest) -> Any:
    return request.param


def said(broker: Mosquitto, place: str = PLACE) -> dict[str, Any]:
    """What a newcomer at the broker hears of the gateway."""
    found = broker.retained(place)
    return json.loads(found) if found else {}


async def until_said(broker: Mosquitto, key: str, value: Any) -> dict[str, Any]:
    """What is said once `key` has that value."""
    await asyncio.to_thread(wait_until, lambda: said(broker).get(key) == value, f"{key} is {value}")
    return said(broker)


def test_it_is_online_with_its_health_and_offline_with_the_reason_after_a_stop(
    broker: Mosquitto, version: Any
) -> None:
    async def scenario() -> None:
        source = source_at(broker, version, status_topic=TOPIC)
        source.announce("degraded", ["source plant is connecting", "two", "three", "four"])
        async with taking(source, RecordingIntake()):
            word = await until_said(broker, "state", "online")
            assert word.pop("time").endswith("Z")
            assert word == {
                "state": "online",
                "gateway": "gw",
                "source": "plant",
                "health": "degraded",
                "reasons": ["source plant is connecting", "two", "three"],
            }
            source.announce("healthy", [])
            assert (await until_said(broker, "health", "healthy"))["reasons"] == []
        assert said(broker)["state"] == "online"
        await source.close()
        word = await until_said(broker, "state", "offline")
        assert (word["health"], word["reasons"]) == (
            "down",
            ["the gateway was stopped, or reads this broker no longer"],
        )
        assert word["time"].endswith("Z")

    asyncio.run(scenario())


def test_the_broker_says_offline_for_a_gateway_whose_connection_broke_and_it_says_online_again(
    broker: Mosquitto, version: Any
) -> None:
    async def scenario(proxy: Proxy) -> None:
        source = source_at(proxy.port, version, status_topic=TOPIC)
        async with taking(source, RecordingIntake()) as run:
            await until_said(broker, "state", "online")
            await asyncio.to_thread(proxy.cut)
            word = await until_said(broker, "state", "offline")
            assert word["reasons"] == ["the connection between gateway and broker broke"]
            assert "time" not in word
            await until(run.done, "the source is lost")
        async with taking(source, RecordingIntake()):
            await until_said(broker, "state", "online")
        await source.close()

    with Proxy(mosquitto.free_port(), broker.port) as proxy:
        asyncio.run(scenario(proxy))


def test_what_gateways_say_of_themselves_is_no_reading_and_no_dead_letter(
    broker: Mosquitto, version: Any
) -> None:
    broker.publish("gateways/other/line/status", "5", retain=True)

    async def scenario() -> None:
        source = source_at(broker, version, status_topic=TOPIC, topics=["#"])
        intake = RecordingIntake()
        async with taking(source, intake):
            source.announce("healthy", [])
            await until(lambda: len(intake.payloads) >= 2, "a word of its own and one of another")
            broker.publish("plant/t", "1")
            await until(lambda: intake.rejects or intake.taken, "something else")
            await settle()
            source.safe(intake.receipts)
        await source.close()
        assert [p.data for p in intake.payloads if "gateways" not in p.origin.place] == [b"1"]
        assert [r.origin.place for r in intake.rejects] == ["plant/t"]  # nothing names its sensor
        assert intake.taken == []

    asyncio.run(scenario())


def test_a_broker_that_lets_nobody_write_the_status_is_said_once_and_delivers(
    start_broker: StartBroker, tmp_path: Path, logs: list[Any]
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read #\ntopic write plant/#\n")
    rules.chmod(0o644)
    broker = start_broker(f"acl_file {rules}")

    async def scenario() -> None:
        source, intake = source_at(broker, status_topic=TOPIC), RecordingIntake()
        async with taking(source, intake):
            source.announce("healthy", [])
            broker.publish("plant/b/t", "1")
            await until(lambda: intake.taken, "a reading")
            await until(lambda: "does not take" in str(logs), "the refusal")
        await source.close()

    asyncio.run(scenario())
    assert "Not authorized; allow it to write there, or remove status_topic" in str(logs)
    assert str(logs).count("does not take") == 1


def test_gatewayd_says_how_it_is_when_it_stops_and_what_a_removed_source_left_behind(
    broker: Mosquitto, tmp_path: Path
) -> None:
    plant = f'[sources.plant]\nkind = "mqtt"\nbroker = "127.0.0.1"\nport = {broker.port}\ntopics = ["a"]\n'
    status = f'status_topic = "{TOPIC}"\n'
    place = "gateways/pi-7/plant/status"
    kafka = f"127.0.0.1:{mosquitto.free_port()}"
    with Daemon(tmp_path, kafka, plant + status) as daemon:
        wait_until(lambda: said(broker, place).get("health") == "degraded", "the health")
        assert any("Kafka" in reason for reason in said(broker, place)["reasons"])
        daemon.stop()
    assert said(broker, place)["reasons"] == ["the gateway was stopped, or reads this broker no longer"]
    simulator = '[sources.sim]\nkind = "simulator"\n'
    with Daemon(tmp_path, kafka, simulator) as daemon:
        [event] = daemon.events("session left behind")
        daemon.kill()
    assert "the session 'pi-7:plant' of the source plant, which left the configuration," in event["problem"]
    assert f"delete {tmp_path}/state/sources/plant.mqtt-session" in event["problem"]
