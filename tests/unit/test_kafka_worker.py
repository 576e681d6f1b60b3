"""What waits for Kafka, and what it leaves behind when Kafka does not answer."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException

from gateway.config import Kafka
from gateway.kafka import client
from gateway.kafka.worker import HangError, Worker


class Thing:
    """Stands for a client of Kafka, which has threads and sockets."""

    @staticmethod
    def list_topics(timeout: float) -> None:
        del timeout
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def test_a_call_that_fails_leaves_nothing_of_it_behind() -> None:
    left: list[weakref.ref[Thing]] = []

    def fail() -> None:
        thing = Thing()
        left.append(weakref.ref(thing))
        thing.list_topics(1)

    async def play() -> None:
        worker = Worker()
        for _ in range(3):
            with contextlib.suppress(KafkaException):
                await worker.call(10, fail)
        await worker.call(10, int)  # the thread is through with the others
        worker.end()

    asyncio.run(play())
    assert [thing() for thing in left] == [None, None, None]


def test_asking_a_kafka_that_is_away_leaves_no_client_behind_even_if_the_error_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[weakref.ref[Thing]] = []

    def make(_: object) -> Thing:
        thing = Thing()
        left.append(weakref.ref(thing))
        return thing

    monkeypatch.setattr(client, "AdminClient", make)
    kept = []
    try:
        client.ensure_topics(Kafka(), "gateway", ["readings"])
    except client.KafkaUnavailableError as error:
        kept.append(error)

    assert kept
    assert [thing() for thing in left] == [None]


def test_a_call_that_does_not_return_is_given_up_and_the_next_one_served() -> None:
    release = threading.Event()

    async def play() -> None:
        worker = Worker()
        with pytest.raises(HangError, match="did not come back"):
            await worker.call(0.01, release.wait)
        assert await worker.call(10, lambda: 7) == 7
        release.set()
        worker.end()

    asyncio.run(play())


def test_a_call_that_comes_back_while_the_loop_stalls_past_its_deadline_has_come_back() -> None:
    async def play() -> None:
        worker, began, go = Worker(), threading.Event(), threading.Event()

        def work() -> str:
            began.set()
            go.wait(10)
            return "done"

        call = asyncio.create_task(worker.call(0.2, work))
        await asyncio.to_thread(began.wait, 10)
        go.set()
        threading.Event().wait(0.4)  # as a machine that was frozen
        assert await call == "done"
        worker.end()

    asyncio.run(play())
