"""ANOMALIES -> MQTT: keeps at a broker, retained, which anomalies of each sensor are open.

In a thread of its own: a broker or a Kafka that is away holds up nothing else. What the broker has acknowledged is committed
to Kafka, so a crash repeats retained messages at most, which changes nothing, and never forgets one.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from devices.errors import SourceError
from devices.mqtt import refusals
from devices.mqtt.dial import identify
from gateway.config import DetectKafka
from gateway.detect.board import Board, Change
from gateway.detect.config import Mqtt
from gateway.detect.retained import (
    TOPIC_BYTES,
    Names,
    availability_topic,
    discovery_of,
    discovery_topic,
    state_of,
    topic_of,
)
from gateway.kafka.group import GroupError, GroupReader
from gateway.wire import WireError, decode_anomaly

_log = structlog.get_logger()

KEEPALIVE: Final = 20
PATIENCE: Final = 20.0
"""Seconds of silence after which the connection is probed, and that an answer of the broker may take."""

LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts at most; from one second, doubled."""

MOST_ANNOUNCED: Final = 100_000
"""Sensors that are remembered as told to Home Assistant over this connection; beyond, they are told again."""

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"


class MqttPublisher:
    """Begins at start(), and tries for ever."""

    def __init__(self, config: Mqtt, kafka: DetectKafka, group: str) -> None:
        """`group` is that of gateway-detect: the one that reads for the broker has a name of its own after it."""
        self._config = config
        self._kafka = kafka
        self._group = f"{group}-mqtt"
        self._announced: set[Names] = set()
        self._reached: bool | None = None
        self._unreadable = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin, and wait for no connection."""
        self._thread.start()

    async def close(self, within: float = 3.0) -> None:
        """Say goodbye; gives up after `within` seconds. What is not published then is published after the next start."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join, within)

    def _run(self) -> None:
        pause = 1.0
        while not self._ending.is_set():
            began = time.monotonic()
            try:
                self._session()
            except (SourceError, GroupError) as error:
                if self._reached is not False:
                    self._reached = False
                    _log.warning("anomalies do not reach mqtt", problem=str(error))
            except Exception:  # noqa: BLE001 - logged with its traceback
                _log.exception("mqtt publisher failed")
            pause = 1.0 if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            self._ending.wait(pause)

    def _session(self) -> None:
        """One connection to the broker, and one membership: what is open is read from Kafka anew."""
        line = _Line(self._config)
        self._announced.clear()  # the broker may have forgotten
        try:
            line.open()
            if not self._reached:
                self._reached = True
                _log.info("anomalies reach mqtt", broker=refusals.where(self._config))
            reader = GroupReader(self._kafka, self._kafka.anomalies_topic, self._group)
            try:
                self._follow(line, reader)
            finally:
                reader.close()
        finally:
            line.close()

    def _follow(self, line: "_Line", reader: GroupReader) -> None:
        board = Board()
        while not self._ending.is_set():
            lot = reader.poll(0.5)
            for partition in lot.lost:
                board.give_up(partition)
            for partition in lot.assigned:
                board.begin(partition)
            for partition, offset, value in lot.records:
                try:
                    board.take(partition, offset, decode_anomaly(value))
                except WireError as error:
                    board.skip(partition, offset)
                    self._complain(str(error))
            for partition in lot.ends:
                board.end(partition)
            changes = board.due()
            line.publish([message for change in changes for message in self._messages(change)])
            board.published(changes)
            if lot.records or changes:
                reader.commit(board.low())

    def _messages(self, change: Change) -> list[tuple[str, bytes]]:
        config, whose = self._config, change.whose
        topic = topic_of(config.topic, whose)
        if len(topic.encode()) > TOPIC_BYTES:
            self._complain("its names are too long for a topic of MQTT")
            return []
        messages = [(topic, state_of(whose, change.found, change.last))]
        if config.discovery and whose not in self._announced:
            if len(self._announced) >= MOST_ANNOUNCED:
                self._announced.clear()
            self._announced.add(whose)
            messages.append((discovery_topic(config.discovery, whose), discovery_of(config.topic, whose)))
        return messages

    def _complain(self, problem: str) -> None:
        self._unreadable += 1
        if self._unreadable == 1:
            _log.warning("anomaly cannot go to mqtt", topic=self._kafka.anomalies_topic, problem=problem)


class _Line:
    """One connection to the broker, with paho's own thread. Its callbacks raise nothing."""

    def __init__(self, config: Mqtt) -> None:
        self._config = config
        self._topic = availability_topic(config.topic)
        self._greeted = threading.Event()
        self._gone = threading.Event()
        self._closing = False
        self._code: ReasonCode | None = None
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.will_set(self._topic, OFFLINE, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message

    def open(self) -> None:
        """Connect, and say that somebody publishes.

        Raises:
            SourceLost, SourceRefused: it did not come up.
        """
        config = self._config
        identify(self._client, config)
        try:
            self._client.connect(*config.address, KEEPALIVE)
            self._client.loop_start()
            if not self._greeted.wait(PATIENCE):
                raise TimeoutError
        except (OSError, ValueError) as error:
            raise refusals.connect_failed(error, config) from error
        if self._code is None:
            raise refusals.connect_failed(ConnectionResetError(), config)
        if self._code.is_failure:
            raise refusals.connect_refused(self._code, config)
        self.publish([(self._topic, ONLINE)])
        self._client.subscribe(self._topic, qos=1)

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish them, retained, and see the broker take all of them.

        Raises:
            SourceLost: it did not.
        """
        sent = [self._client.publish(topic, payload, qos=1, retain=True) for topic, payload in messages]
        deadline = time.monotonic() + PATIENCE + len(sent) / 100
        try:
            for one in sent:
                while not one.is_published():
                    if time.monotonic() > deadline:
                        raise refusals.connect_failed(TimeoutError(), self._config)
                    if self._gone.is_set():
                        break
                    one.wait_for_publish(0.2)
        except (RuntimeError, ValueError):  # paho's word for a message that it did not even take
            self._gone.set()
        if self._gone.is_set():
            raise refusals.connect_failed(ConnectionResetError(), self._config)

    def close(self) -> None:
        """Say goodbye, as far as the broker listens."""
        self._closing = True
        if self._greeted.is_set() and not self._gone.is_set():
            with contextlib.suppress(SourceError):
                self.publish([(self._topic, OFFLINE)])
            self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Any
    ) -> None:
        self._code = code
        self._greeted.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._gone.set()
        self._greeted.set()

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        """Another process of the group is gone, and its will says so: not all of them are."""
        if message.payload == OFFLINE and not self._closing:
            client.publish(self._topic, ONLINE, qos=1, retain=True)
