"""What each error of the Kafka client means for what is being delivered: one table, for every sink.

Codes with an underscore are the client's own, the others a broker's answer. `.fatal()` is of no use in the reports of
the idempotent producer (it says False of fatal errors), so the code decides; only for a code that is not listed do the
marks that the transaction calls set on their errors.
"""

# ruff: noqa: SLF001 - the client gives its own codes no other names
from enum import Enum
from typing import Final, NamedTuple

from confluent_kafka import KafkaError


class Step(Enum):
    """What to do next. Nothing leaves the spool but by an acknowledgement or as a dead letter."""

    PENDING = "may be written or not: it is sent again, in a transaction once that is aborted"
    RETRY = "not written, and time or somebody will mend it: it is sent again"
    ABORT = "this transaction is over, its producer is not: abort, send again"
    REBUILD = "this producer is finished: make a new one, ask Kafka for the position, send what is left"
    DEAD_LETTER = "never: find the record at fault, and write it to the dead letters instead"


class Outcome(NamedTuple):
    """A step and why."""

    step: Step
    why: str


OUTCOMES: Final[dict[int, Outcome]] = {
    # The answer is missing: only Kafka knows.
    KafkaError._MSG_TIMED_OUT: Outcome(Step.PENDING, "no acknowledgement within message.timeout.ms"),
    KafkaError._TIMED_OUT: Outcome(Step.PENDING, "the request was not answered"),
    KafkaError._TIMED_OUT_QUEUE: Outcome(Step.PENDING, "it waited too long in the client"),
    KafkaError._TRANSPORT: Outcome(Step.PENDING, "the connection broke"),
    KafkaError._DESTROY: Outcome(Step.PENDING, "the client was closed"),
    KafkaError._INVALID_DIFFERENT_RECORD: Outcome(Step.PENDING, "another record of its request is at fault"),
    KafkaError.REQUEST_TIMED_OUT: Outcome(Step.PENDING, "its copies were not made in time"),
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Outcome(Step.PENDING, "written, with too few copies"),
    KafkaError.NETWORK_EXCEPTION: Outcome(Step.PENDING, "the broker was gone before it answered"),
    # A broker or its administrator has to do something.
    KafkaError.NOT_ENOUGH_REPLICAS: Outcome(Step.RETRY, "too few brokers are there"),
    KafkaError.NOT_LEADER_FOR_PARTITION: Outcome(Step.RETRY, "the partition has moved"),
    KafkaError.LEADER_NOT_AVAILABLE: Outcome(Step.RETRY, "the partition has no leader now"),
    KafkaError.KAFKA_STORAGE_ERROR: Outcome(Step.RETRY, "a disk of the broker failed"),
    KafkaError.THROTTLING_QUOTA_EXCEEDED: Outcome(Step.RETRY, "this user writes more than it may"),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Outcome(Step.RETRY, "this user may not write the topic"),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: Outcome(Step.RETRY, "this user may not write idempotently"),
    KafkaError.GROUP_AUTHORIZATION_FAILED: Outcome(Step.RETRY, "this user may not keep the position"),
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Outcome(
        Step.REBUILD, "this user may not write in transactions; the client then ends its producer"
    ),
    KafkaError.INVALID_TIMESTAMP: Outcome(
        Step.RETRY, "records carry the time they are sent: our clock or the broker's is wrong"
    ),
    KafkaError._QUEUE_FULL: Outcome(Step.RETRY, "the client's queue is full"),
    KafkaError.POLICY_VIOLATION: Outcome(Step.RETRY, "a policy of the cluster is against it"),
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE: Outcome(Step.RETRY, "the broker cannot read our compression"),
    # The transaction failed, and can be aborted.
    KafkaError._PURGE_QUEUE: Outcome(
        Step.ABORT, "thrown out of the client's queue, as its transaction failed"
    ),
    KafkaError._PURGE_INFLIGHT: Outcome(Step.ABORT, "the same, on its way already"),
    KafkaError.TRANSACTION_ABORTABLE: Outcome(Step.ABORT, "the broker says so"),
    KafkaError.CONCURRENT_TRANSACTIONS: Outcome(Step.ABORT, "the last transaction is still being completed"),
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: Outcome(Step.ABORT, "the coordinator is starting"),
    KafkaError.COORDINATOR_NOT_AVAILABLE: Outcome(Step.ABORT, "the coordinator is away"),
    KafkaError.NOT_COORDINATOR: Outcome(Step.ABORT, "the coordinator has moved"),
    KafkaError.UNSTABLE_OFFSET_COMMIT: Outcome(Step.ABORT, "a position is still being committed"),
    KafkaError.ILLEGAL_GENERATION: Outcome(Step.ABORT, "the group of our position has moved on without us"),
    KafkaError.UNKNOWN_MEMBER_ID: Outcome(Step.ABORT, "the same"),
    KafkaError.STALE_MEMBER_EPOCH: Outcome(Step.ABORT, "the same, by the newer protocol of groups"),
    KafkaError.FENCED_MEMBER_EPOCH: Outcome(Step.ABORT, "the same"),
    KafkaError.REBALANCE_IN_PROGRESS: Outcome(
        Step.ABORT, "the group of our position is being shared out anew"
    ),
    KafkaError.OFFSET_METADATA_TOO_LARGE: Outcome(Step.ABORT, "the broker allows less than 4 KB beside it"),
    # The producer is finished.
    KafkaError._FATAL: Outcome(Step.REBUILD, "the client gave up"),
    KafkaError._STATE: Outcome(Step.REBUILD, "the client is not where we took it to be"),
    KafkaError._FENCED: Outcome(Step.REBUILD, "our transaction timed out at the broker, or a rival began"),
    KafkaError.PRODUCER_FENCED: Outcome(Step.REBUILD, "the same"),
    KafkaError.INVALID_PRODUCER_EPOCH: Outcome(Step.REBUILD, "the same"),
    KafkaError.TRANSACTION_COORDINATOR_FENCED: Outcome(Step.REBUILD, "the coordinator was replaced"),
    KafkaError.INVALID_PRODUCER_ID_MAPPING: Outcome(Step.REBUILD, "the broker forgot our transactional id"),
    KafkaError.UNKNOWN_PRODUCER_ID: Outcome(Step.REBUILD, "the broker forgot this producer"),
    KafkaError.INVALID_TXN_STATE: Outcome(Step.REBUILD, "the broker sees another transaction than we do"),
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER: Outcome(
        Step.REBUILD, "the broker misses what it had acknowledged"
    ),
    KafkaError.DUPLICATE_SEQUENCE_NUMBER: Outcome(
        Step.REBUILD, "the broker has it, but no longer knows where"
    ),
    KafkaError.UNKNOWN_TOPIC_OR_PART: Outcome(
        Step.REBUILD, "the topic is gone; it is made again where allowed"
    ),
    KafkaError._UNKNOWN_TOPIC: Outcome(Step.REBUILD, "the same"),
    KafkaError._UNKNOWN_PARTITION: Outcome(Step.REBUILD, "the topic was made again with fewer partitions"),
    KafkaError.UNKNOWN_TOPIC_ID: Outcome(Step.REBUILD, "the topic was made again"),
    KafkaError.INCONSISTENT_TOPIC_ID: Outcome(Step.REBUILD, "the same"),
    KafkaError.UNSUPPORTED_VERSION: Outcome(Step.REBUILD, "another broker answers than before"),
    # The record itself.
    KafkaError.MSG_SIZE_TOO_LARGE: Outcome(Step.DEAD_LETTER, "larger than the topic allows"),
    KafkaError.RECORD_LIST_TOO_LARGE: Outcome(Step.DEAD_LETTER, "larger than a segment of the topic"),
    KafkaError.INVALID_MSG: Outcome(Step.DEAD_LETTER, "the broker found its checksum wrong"),
    KafkaError.INVALID_RECORD: Outcome(Step.DEAD_LETTER, "the broker or the topic's rules refuse it"),
}

UNWRITABLE: Final = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)
"""Errors of a topic that its administrator has to cure. Readings wait for that; dead letters do not."""

MOVED_ON: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)
"""Answers of a Kafka that is well: the group has moved on, which comes with every change of its members."""

SAYS_WHY: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._RESOLVE,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
    }
)
"""Reports of the client, beside those on records, that say why a broker is out of reach."""

UNREACHABLE: Final = SAYS_WHY | {KafkaError._ALL_BROKERS_DOWN}
"""Those that put Kafka in doubt. All brokers are also "down" when they closed idle connections, so only a look can tell."""


def step_of(error: KafkaError) -> Step:
    """What to do after this error; what is not known is taken to be the worst that loses nothing."""
    if (known := OUTCOMES.get(error.code())) is not None:
        return known.step
    if error.txn_requires_abort():
        return Step.ABORT
    if error.retriable():
        return Step.RETRY
    return Step.REBUILD if error.fatal() else Step.PENDING
