"""Writes records to Kafka with an idempotent producer, and says of each attempt what became of it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from gateway.config import ConfigError, Kafka
from gateway.kafka.client import KafkaUnavailableError, Record, ensure_topics, explain, properties

_log = structlog.get_logger()

MAX_RECORDS: Final = 10_000
"""Records that one send() may carry: half of the client's own queue, which is kept small as the spool is the buffer."""

FIRST_LOOK: Final = 0.02
LONGEST_LOOK: Final = 0.2
"""Seconds until the reports of a send() are fetched, doubled each time: one look is mostly enough, as Kafka on a LAN
answers within milliseconds, and in an outage nothing is gained by asking often."""

REFUSED: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
    }
)
"""Errors that sending the same record again cannot cure. Everything else is pending: it may be cured, or the record
may be in Kafka already."""


UNWRITABLE: Final = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - the client gives these no public name
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)
"""Errors of a topic that its administrator has to cure. Readings wait for that; dead letters do not."""

UNREACHABLE: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - the client gives these no public name
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
    }
)
"""Reports of the client that put Kafka in doubt. All brokers are also "down" when they closed idle connections, so
only a look can tell."""

PROBE_EVERY: Final = 5.0
"""Seconds between two looks whether a cluster that is in doubt or unreachable is there."""


class Outcome(NamedTuple):
    """What became of the records of one send().

    Attributes:
        delivered: how many Kafka acknowledged by all in-sync replicas.
        refused: records in a request that Kafka refuses for good, with the reason: at least one of them is at fault,
            others may only have shared its request.
        pending: records that were not acknowledged and may or may not be written; send them again, in this order.
        trouble: why there are pending ones, as a sentence.
    """

    delivered: int
    refused: list[tuple[Record, str]]
    pending: list[Record]
    trouble: str


class Link(NamedTuple):
    """What is known of the way to Kafka.

    Attributes:
        reachable: None until something was learnt.
        since: when that was learnt, in seconds of the monotonic clock.
        trouble: why it is not reachable, with what to do; empty if it is.
    """

    reachable: bool | None
    since: float
    trouble: str


class KafkaSink:
    """An idempotent producer: within its life each record is written once and in order per partition.

    Used from one event loop; calls must not overlap, but for close().

    Records are queued and their reports fetched in the loop's own thread: neither waits for Kafka, and a report takes
    the interpreter's lock of its own, so that in another thread each one would wrest it from the loop. What waits for
    Kafka runs in a worker thread.
    """

    def __init__(self, config: Kafka, client_id: str) -> None:
        """Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        self._config = config
        self._client_id = client_id
        self._closing = False
        self._sending = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._producer: Producer | None = self._make()
        self._probed = 0.0
        self._doubt = ""
        self.link = Link(None, time.monotonic(), "")

    async def prepare(self, topics: Sequence[str]) -> None:
        """Make sure that `topics` exist, where the configuration allows it.

        Raises:
            KafkaUnavailableError: the cluster did not answer.
        """
        await self._call(self._prepare, topics)

    async def send(self, records: Sequence[Record], attempt_done: Callable[[], None]) -> Outcome:
        """Write up to MAX_RECORDS records and wait, for as long as it takes, until each has its outcome.

        Durable on return: the delivered ones, at every in-sync replica. `attempt_done` is called whenever the client
        came back with or without an answer, several times a second.

        After close() it returns soon, with all that was not acknowledged as pending. Never raises for what Kafka does.
        """
        async with self._sending:
            return await self._send(records, attempt_done)

    async def idle(self) -> None:
        """Let the client report what it saw while there is nothing to send."""
        await self._call(self._idle)

    async def close(self) -> None:
        """Give up what is in the client's queue and end it. The spool still has it."""
        self._closing = True
        async with self._sending:
            await self._call(self._end)
        self._thread.shutdown()

    async def _call(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _make(self) -> Producer:
        settings: dict[str, Any] = {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as the Java client: one key, one partition, whoever writes
            "compression.type": "zstd",
            "compression.level": 1,
            "linger.ms": 2,  # whole batches are handed over at once; waiting would only add latency
            "batch.size": 1_000_000,
            "message.timeout.ms": 0,  # a timeout would turn an outage into gaps
            "queue.buffering.max.messages": 2 * MAX_RECORDS,
            "queue.buffering.max.kbytes": 32_768,
            **properties(self._config, self._client_id),
            "error_cb": self._error,
            "log_level": 0,  # every connection failure comes to error_cb too; _note says it once
        }
        try:
            return Producer(settings)
        except KafkaException as error:
            raise ConfigError(f"kafka.options: refused by the Kafka client: {error.args[0].str()}") from None
        except (TypeError, ValueError) as error:  # a property that is a function in Python
            raise ConfigError(f"kafka.options: refused by the Kafka client: {error}") from None

    def _prepare(self, topics: Sequence[str]) -> None:
        if not self._config.create_topics:
            return
        try:
            ensure_topics(self._config, self._client_id, topics)
        except KafkaUnavailableError as error:
            self._note(reachable=False, trouble=str(error))
            raise
        self._note(reachable=True)

    async def _send(self, records: Sequence[Record], attempt_done: Callable[[], None]) -> Outcome:
        delivered: list[Message] = []
        refused: list[tuple[Record, str]] = []
        trouble = fatal = ""

        def report(error: KafkaError | None, message: Message) -> None:
            nonlocal trouble
            if error is None:
                delivered.append(message)
            elif self._is_refused(error, message.topic() or ""):
                refused.append((_record(message), explain(error)))
            else:
                trouble = explain(error)

        try:
            self._producer = self._producer or self._make()
            for record, error in _offer(self._producer, records, report):
                if self._is_refused(error, record.topic):
                    refused.append((record, explain(error)))
                else:
                    trouble = explain(error)
            await self._fetch_reports(self._producer, attempt_done)
        except (KafkaException, SystemError, BufferError) as error:
            # A fatal error of the idempotent producer comes as an exception out of produce or poll, sometimes as a
            # SystemError in its wake, and reports can be lost with it: so all that was not reported is pending.
            fatal = (
                explain(error.args[0]) if isinstance(error, KafkaException) else str(error) or "SystemError"
            )
        if fatal:
            trouble = fatal
            await self._call(self._give_up_producer, fatal)
        if len(delivered) == len(records):
            self._note(reachable=True)
            return Outcome(len(delivered), [], [], "")
        settled = {_record(message) for message in delivered} | {record for record, _ in refused}
        pending = [record for record in records if record not in settled]
        if pending:
            self._note(reachable=False, trouble=trouble or "not acknowledged before the gateway stopped")
        return Outcome(len(delivered), refused, pending, trouble)

    def _is_refused(self, error: KafkaError, topic: str) -> bool:
        """Whether sending again cannot help, or must not be waited for: no letter holds up the readings behind it."""
        unwritable = topic == self._config.dead_letters_topic and error.code() in UNWRITABLE
        return unwritable or error.code() in REFUSED

    async def _fetch_reports(self, producer: Producer, attempt_done: Callable[[], None]) -> None:
        """Until there is one of every record, or close() was called."""
        pause = FIRST_LOOK
        while len(producer) and not self._closing:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)
            producer.poll(0)
            if self._in_question():
                await self._call(self._probe, producer)
            attempt_done()

    def _give_up_producer(self, problem: str) -> None:
        """The next send() makes a new one."""
        self._end()
        _log.warning("kafka producer rebuilt", problem=problem)

    def _idle(self) -> None:
        producer = self._producer = self._producer or self._make()
        producer.poll(0)
        if self._in_question():
            self._probe(producer)

    def _in_question(self) -> bool:
        """Whether there is reason to ask the cluster itself, and the last time was long ago."""
        doubt = self._doubt or self.link.reachable is False
        return bool(doubt) and time.monotonic() - self._probed > PROBE_EVERY

    def _probe(self, producer: Producer) -> None:
        """Ask the cluster itself."""
        self._probed = time.monotonic()
        try:
            producer.list_topics(self._config.readings_topic, timeout=1.0)
        except KafkaException:
            self._note(reachable=False, trouble=self._doubt)
        else:
            self._note(reachable=True)

    def _end(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException, SystemError):
                producer.purge()
                producer.poll(0)

    def _error(self, error: KafkaError) -> None:
        if error.code() in UNREACHABLE:
            self._doubt = explain(error)

    def _note(self, *, reachable: bool, trouble: str = "") -> None:
        was = self.link
        if reachable:
            self._doubt = ""
        if reachable == was.reachable:
            self.link = was._replace(trouble=trouble or was.trouble if not reachable else "")
            return
        self.link = Link(reachable, time.monotonic(), trouble)
        if reachable:
            _log.info("kafka reachable", bootstrap=self._config.bootstrap_servers)
        else:
            _log.warning("kafka unreachable", bootstrap=self._config.bootstrap_servers, problem=trouble)


def _offer(
    producer: Producer, records: Sequence[Record], report: Callable[[KafkaError | None, Message], None]
) -> list[tuple[Record, KafkaError]]:
    """Hand all records to the client, topic by topic, in order; returns those that it would not even take."""
    by_topic: dict[str, list[dict[str, Any]]] = {}
    for topic, key, value in records:
        by_topic.setdefault(topic, []).append({"key": key, "value": value})
    rejected = []
    for topic, messages in by_topic.items():
        if producer.produce_batch(topic, messages, on_delivery=report) < len(messages):
            rejected += [
                (Record(topic, message["key"], message["value"]), message["_error"])
                for message in messages
                if "_error" in message
            ]
    return rejected


def _record(message: Message) -> Record:
    return Record(message.topic() or "", message.key(), message.value() or b"")
