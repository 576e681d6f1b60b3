"""Every error that Kafka can answer a delivery with has the outcome that the table says, and nothing is lost by it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from mock_kafka import ADD_OFFSETS, END_TXN, INIT_PRODUCER_ID, PRODUCE, MockKafka, mock_kafka
from waiting import wait_until

from gateway.config import Kafka
from gateway.kafka import transactions
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.outcomes import OUTCOMES, Step, step_of
from gateway.kafka.sink import PositionUnknownError, Sent, Sink
from gateway.kafka.transactional import TransactionalSink
from gateway.position import Position

RECORDS = [Record("readings", b"pi-7/boiler", b"%d" % n) for n in range(10)]
POSITION = Position("spool", "run", 1, 10, 0, ended=False, ledger={})
NAMES = {getattr(KafkaError, name): name for name in dir(KafkaError) if name.isupper()}
OF_A_BROKER = sorted(code for code in OUTCOMES if code > 0)


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    with mock_kafka() as cluster:
        cluster.create_topic("readings")
        yield cluster


def config(mock: MockKafka) -> Kafka:
    # Retried for ever by the client itself: short enough to see that we are told in the end.
    options: dict[str, str | int | float | bool] = {"retries": 1, "retry.backoff.ms": 1}
    return Kafka(bootstrap_servers=mock.bootstrap, create_topics=False, options=options)


def quiet() -> None:
    pass


async def deliver(sink: Sink, records: list[Record]) -> tuple[list[Sent], int]:
    """Send as forward does, until everything has its outcome; the answers, and how often the position was asked."""
    answers, asked = [], 0
    async with asyncio.timeout(30):
        while records:
            try:
                answers.append(await sink.send(records, POSITION, quiet))
                records = answers[-1].pending
            except PositionUnknownError:
                asked += 1
                await resume(sink)
    return answers, asked


async def resume(sink: Sink) -> None:
    while True:
        try:
            await sink.resume(["readings"], quiet)
        except KafkaUnavailableError:
            await asyncio.sleep(0.05)
        else:
            return


def run(make: Callable[[], Sink], before: Callable[[], None]) -> tuple[list[Sent], int]:
    async def scenario() -> tuple[list[Sent], int]:
        sink = make()
        await resume(sink)
        before()
        result = await deliver(sink, RECORDS)
        await sink.close()
        return result

    return asyncio.run(scenario())


@pytest.mark.parametrize("code", OF_A_BROKER, ids=lambda code: NAMES[code])
def test_at_least_once_delivers_all_or_names_the_refused(mock: MockKafka, code: int) -> None:
    answers, asked = run(
        lambda: IdempotentSink(config(mock), "gateway-pi-7"), lambda: mock.fail(PRODUCE, *[code] * 3)
    )

    refused = [record for answer in answers for record, _ in answer.refused]
    assert asked == 0
    assert sum(answer.delivered for answer in answers) + len(refused) == len(RECORDS)
    assert bool(refused) <= (OUTCOMES[code].step is Step.DEAD_LETTER)


@pytest.mark.parametrize("code", OF_A_BROKER, ids=lambda code: NAMES[code])
def test_exactly_once_commits_all_in_one_transaction_in_the_end(mock: MockKafka, code: int) -> None:
    answers, _ = run(lambda: TransactionalSink(config(mock), "pi-7"), lambda: mock.fail(PRODUCE, *[code] * 2))

    refused = [record for answer in answers for record, _ in answer.refused]
    assert answers[-1].delivered == len(RECORDS) - len(refused)
    assert [answer.delivered for answer in answers[:-1]] == [0] * (len(answers) - 1)
    assert bool(refused) <= (OUTCOMES[code].step is Step.DEAD_LETTER)


@pytest.mark.parametrize(
    ("request_kind", "code", "asks"),
    [
        (END_TXN, KafkaError.INVALID_PRODUCER_EPOCH, True),
        (END_TXN, KafkaError.PRODUCER_FENCED, True),
        (END_TXN, KafkaError.INVALID_TXN_STATE, True),
        (END_TXN, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, True),
        (END_TXN, KafkaError.COORDINATOR_NOT_AVAILABLE, False),
        (ADD_OFFSETS, KafkaError.GROUP_AUTHORIZATION_FAILED, False),
        (ADD_OFFSETS, KafkaError.PRODUCER_FENCED, True),
        (ADD_OFFSETS, KafkaError.NOT_COORDINATOR, False),
    ],
    ids=lambda value: NAMES.get(value) if isinstance(value, int) and value > 30 else None,
)
def test_a_transaction_that_fails_is_sent_again_and_kafka_asked_where_only_it_knows(
    mock: MockKafka, request_kind: int, code: int, *, asks: bool
) -> None:
    answers, asked = run(
        lambda: TransactionalSink(config(mock), "pi-7"), lambda: mock.fail(request_kind, code)
    )

    assert bool(asked) == asks
    assert answers[-1].delivered == len(RECORDS)


def test_a_start_that_is_refused_is_tried_again(mock: MockKafka) -> None:
    mock.fail(INIT_PRODUCER_ID, *[KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED] * 2)

    answers, _ = run(lambda: TransactionalSink(config(mock), "pi-7"), quiet)

    assert answers[-1].delivered == len(RECORDS)


def test_one_refused_request_is_halved_until_the_culprit_is_alone(mock: MockKafka) -> None:
    # The whole, the half with the culprit, its half, ...: 10, 5, 2, 1.
    big = Record("readings", b"pi-7/boiler", b"x" * 2_000_000)

    async def scenario(sink: Sink) -> Sent:
        await resume(sink)
        sent = await sink.send([*RECORDS, big], POSITION, quiet)
        await sink.close()
        return sent

    for sink in (IdempotentSink(config(mock), "c"), TransactionalSink(config(mock), "pi-7")):
        sent = asyncio.run(scenario(sink))
        assert [record for record, _ in sent.refused] == [big]
        assert sent.delivered + len(sent.pending) == len(RECORDS)


class Forgetful:
    """A producer that takes records and never says what became of them."""

    def __len__(self) -> int:
        return 1

    def begin_transaction(self) -> None:
        pass

    def produce_batch(self, topic: str, messages: list[object], partition: int, on_delivery: object) -> int:
        del topic, partition, on_delivery
        return len(messages)

    def poll(self, timeout: float) -> int:
        return int(timeout)

    def purge(self) -> None:
        pass


def test_a_producer_that_forgets_to_report_is_replaced(
    mock: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> tuple[list[Sent], int]:
        sink = TransactionalSink(config(mock), "pi-7")
        await resume(sink)
        sink._transactions._producing._producer = cast("Producer", Forgetful())
        monkeypatch.setattr(transactions, "REPORT_DEADLINE", 0.1)
        with pytest.raises(PositionUnknownError, match="did not report"):
            await sink.send(RECORDS, POSITION, quiet)
        monkeypatch.undo()
        result = await deliver(sink, RECORDS)
        await sink.close()
        return result

    answers, _ = asyncio.run(scenario())

    assert answers[-1].delivered == len(RECORDS)


def test_an_error_that_nobody_foresaw_loses_nothing() -> None:
    unknown = next(code for code in range(2000, 3000) if code not in OUTCOMES)

    assert step_of(KafkaError(unknown)) is Step.PENDING
    assert step_of(KafkaError(unknown, "x", False, True)) is Step.RETRY
    assert step_of(KafkaError(unknown, "x", False, False, True)) is Step.ABORT
    assert step_of(KafkaError(unknown, "x", True)) is Step.REBUILD


def test_a_report_of_a_fatal_error_says_that_it_is_none_so_the_code_decides(mock: MockKafka) -> None:
    """If this fails the client has become better, and the table may be simplified."""
    reports: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": mock.bootstrap, "enable.idempotence": True, "log_level": 0})
    mock.fail(PRODUCE, *[KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER] * 2)
    producer.produce("readings", b"x", on_delivery=lambda error, _: reports.append(error))

    with pytest.raises(KafkaException) as raised:
        wait_until(lambda: producer.poll(0.05) and False, "the error")
    producer.poll(1)

    assert step_of(raised.value.args[0]) is Step.REBUILD
    [report] = reports
    assert report is not None
    assert not report.fatal()
    assert step_of(report) is Step.REBUILD
