"""The session at the broker: what it holds, what leaves it, and what becomes of it, on a real mosquitto."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fixtures_mqtt import StartBroker
from mosquitto import Mosquitto
from mqtt_sources import settle, source_at, taking
from stalls import no_stall
from waiting import until

from devices.mqtt import session
from devices.reading import Quality
from gateway.testing import RecordingIntake


@pytest.fixture(params=[5, "3.1.1"], ids=["v5", "v3"])
def version(request: pytest.FixtureRequest) -> Any:
    return request.param


OLD = ["old/{device}", "plant/{device}/{sensor}"]


async def once(broker: Mosquitto, version: Any, folder: Path | None, **more: Any) -> RecordingIntake:
    """Connect, take what is there, and close; the session stays."""
    source, intake = source_at(broker, version, folder, **more), RecordingIntake()
    async with taking(source, intake) as run:
        await settle()
        assert not run.done()
        source.safe(intake.receipts)
    await source.close()
    return intake


def test_a_topic_that_left_the_configuration_is_unsubscribed_and_what_waited_on_it_is_kept_with_the_reason(
    broker: Mosquitto, version: Any, tmp_path: Path
) -> None:
    async def scenario() -> None:
        await once(broker, version, tmp_path, topics=OLD)
        broker.publish("old/b", "1")
        broker.publish("plant/b/t", "2")
        async with no_stall():
            before = await once(broker, version, tmp_path)
        assert [p.data for p in before.payloads] == [b"2"]
        assert [r.data for r in before.rejects] == [b"1"]
        assert "an earlier configuration subscribed to it" in before.rejects[0].reason
        broker.publish("old/b", "3")
        broker.publish("plant/b/t", "4")
        after = await once(broker, version, tmp_path)
        assert [p.data for p in after.payloads] == [b"4"]
        assert after.rejects == []

    asyncio.run(scenario())


def test_without_a_folder_what_an_earlier_process_subscribed_to_becomes_dead_letters(
    broker: Mosquitto, version: Any
) -> None:
    async def scenario() -> None:
        await once(broker, version, None, topics=OLD)
        broker.publish("old/b", "1")
        intake = await once(broker, version, None)
        assert "an earlier configuration" in intake.rejects[0].reason

    asyncio.run(scenario())


def test_a_topic_is_unsubscribed_though_the_gateway_died_between_subscribing_and_noting_it(
    broker: Mosquitto, version: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await once(broker, version, tmp_path)
        kept = (tmp_path / "plant.mqtt-session").read_bytes()
        writes: list[bytes] = []

        def write(path: Path, data: bytes) -> None:
            writes.append(data)
            path.write_bytes(data)

        monkeypatch.setattr(session, "replace", write)
        # Another topic comes; its file is on disk before the broker hears of it.
        await once(broker, version, tmp_path, topics=OLD)
        assert len(writes) == 1
        assert b"old/+" in writes[0]
        # It leaves, and the power is cut before the new list is written: the old one is there still.
        await once(broker, version, tmp_path)
        assert writes[1:] == [kept]
        (tmp_path / "plant.mqtt-session").write_bytes(writes[0])
        await once(broker, version, tmp_path)
        broker.publish("old/b", "1")
        assert (await once(broker, version, tmp_path)).rejects == []
        assert writes[2:] == [kept]

    asyncio.run(scenario())


def test_nothing_is_written_while_the_topics_stay_the_same(
    broker: Mosquitto, version: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await once(broker, version, tmp_path)

        def never(path: Path, _data: bytes) -> None:
            raise AssertionError(path)

        monkeypatch.setattr(session, "replace", never)
        await once(broker, version, tmp_path)
        source, intake = source_at(broker, version, tmp_path), RecordingIntake()
        for _ in range(2):
            async with taking(source, intake) as run:
                assert not run.done()

    asyncio.run(scenario())


def test_a_disk_that_cannot_be_written_is_said_and_keeps_no_source_from_its_work(
    broker: Mosquitto, tmp_path: Path, logs: list[Any]
) -> None:
    (tmp_path / "file").write_text("")

    async def scenario() -> None:
        source, intake = source_at(broker, folder=tmp_path / "file"), RecordingIntake()
        async with taking(source, intake):
            broker.publish("plant/b/t", "1")
            await until(lambda: intake.taken, "a reading")
        await source.close()

    asyncio.run(scenario())
    file = str(tmp_path / "file" / "plant.mqtt-session")
    assert [(one["event"], one["source"], one["file"]) for one in logs] == [
        ("session file cannot be read", "plant", file),
        ("session file cannot be written", "plant", file),
    ]
    assert [one["problem"] for one in logs] == ["Not a directory", "File exists"]


def test_a_broker_that_forgets_every_session_is_subscribed_anew_and_the_loss_is_said(
    broker: Mosquitto, version: Any, tmp_path: Path, logs: list[Any]
) -> None:
    async def scenario() -> None:
        source, intake = source_at(broker, version, tmp_path), RecordingIntake()
        async with no_stall():
            async with taking(source, intake) as run:
                broker_away = asyncio.to_thread(broker.forget)
                await broker_away
                await until(run.done, "the source is lost")
            assert "had forgotten" not in str(logs)
            async with taking(source, intake):
                await asyncio.to_thread(broker.publish, "plant/b/t", "1")
                await until(lambda: intake.taken, "a reading")
        await source.close()
        assert "had forgotten the session 'gw:plant'" in str(logs)
        logs.clear()
        await once(broker, version, tmp_path)
        assert "had forgotten" not in str(logs)

    asyncio.run(scenario())


def test_retained_messages_come_again_with_a_new_session_and_say_so_and_live_ones_do_not(
    broker: Mosquitto, version: Any
) -> None:
    broker.publish("plant/b/t", "5", retain=True)

    async def scenario() -> None:
        source, intake = source_at(broker, version), RecordingIntake()
        async with taking(source, intake):
            await until(lambda: intake.taken, "the retained message")
            broker.publish("plant/b/t", "6", retain=True)
            await until(lambda: len(intake.taken) == 2, "the live one")
            source.safe(intake.receipts)
        await source.close()
        broker.end_session("gw:plant")
        async with taking(source, intake):
            await until(lambda: len(intake.taken) == 3, "the retained message")
            broker.publish("plant/b/t", "7")
            await until(lambda: len(intake.taken) == 4, "the live one")
        await source.close()
        assert [p.quality for p in intake.payloads] == [Quality.RETAINED, Quality.GOOD] * 2

    asyncio.run(scenario())


def test_a_session_that_kept_more_than_fits_into_memory_is_taken_up_again(
    start_broker: StartBroker, version: Any
) -> None:
    """Its messages come before the answer to SUBSCRIBE."""
    broker = start_broker("max_inflight_messages 1000")
    payload = "1" + " " * 200_000

    async def scenario() -> None:
        await once(broker, version, None)
        await asyncio.to_thread(broker.publish, "plant/b/t", *[payload] * 100)
        source, intake = source_at(broker, version), RecordingIntake()
        async with taking(source, intake) as run:
            await until(lambda: len(intake.taken) == 100 or run.done(), "all of them")
            source.safe(intake.receipts)
        await source.close()
        assert len(intake.taken) == 100

    asyncio.run(scenario())


def test_two_gateways_share_a_subscription_and_each_message_comes_to_one(
    broker: Mosquitto, version: Any
) -> None:
    broker.publish("plant/b/t", "0", retain=True)

    async def scenario() -> None:
        topics = ["$share/gateways/plant/{device}/{sensor}"]
        one, two = (source_at(broker, version, name=name, topics=topics) for name in ("one", "two"))
        first, second = RecordingIntake(), RecordingIntake()
        async with taking(one, first), taking(two, second):
            numbers = range(1, 21)
            await asyncio.to_thread(broker.publish, "plant/b/t", *map(str, numbers))
            await until(lambda: len(first.taken) + len(second.taken) >= 20, "all messages")
            await settle()
        await one.close()
        await two.close()
        assert first.taken
        assert second.taken
        # mosquitto hands retained messages to everybody who joins, unless MQTT 5 lets us say no.
        retained = [] if version == 5 else [0, 0]
        assert sorted(r.value for r in first.taken + second.taken) == [*retained, *numbers]
        assert {r.device for r in first.taken} == {"b"}

    asyncio.run(scenario())


def test_one_broker_that_stops_does_not_disturb_the_other(start_broker: StartBroker, version: Any) -> None:
    here, away = start_broker(), start_broker()

    async def scenario() -> None:
        one, two = source_at(here, version, name="one"), source_at(away, version, name="two")
        first, second = RecordingIntake(), RecordingIntake()
        async with no_stall(), taking(one, first) as run, taking(two, second) as lost:
            await asyncio.to_thread(away.stop)
            await until(lost.done, "the other is lost")
            await asyncio.to_thread(here.publish, "plant/b/t", *map(str, range(20)))
            await until(lambda: len(first.taken) == 20, "all readings of the one that is there")
            assert not run.done()
        await one.close()
        await two.close()

    asyncio.run(scenario())


def test_of_several_brokers_the_next_one_is_tried_when_one_does_not_answer(
    broker: Mosquitto, version: Any
) -> None:
    async def scenario() -> None:
        # Nothing listens on the other address of this machine, whose session it would be in a cluster.
        source = source_at(broker, version, broker=["127.0.0.2", "127.0.0.1"])
        intake = RecordingIntake()
        async with taking(source, intake) as run:
            assert "127.0.0.2" in str(run.exception())
        for _ in range(2):  # it stays where it was well received
            async with taking(source, intake) as run:
                assert not run.done()
                broker.publish("plant/b/t", "1")
                await until(lambda: intake.taken, "a reading")
        await source.close()

    asyncio.run(scenario())
