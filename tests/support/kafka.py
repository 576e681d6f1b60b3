"""A real Apache Kafka for the tests: one node in KRaft mode, on loopback, run from its jars."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

HERE: Final = Path(__file__).parent
START_DEADLINE: Final = 60.0
STOP_DEADLINE: Final = 30.0
ANSWER_DEADLINE: Final = 10.0

# Sixteen bytes in base64url without padding, as the format tool wants them.
CLUSTER_ID: Final = "Z2F0ZXdheS10ZXN0cy0wMQ"

# Small and quick: no compiler worth its warm-up, no collector worth its threads.
JAVA: Final = (
    "java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

SMALL: Final = {
    "auto.create.topics.enable": "false",
    # A restarted broker is let in again only when the session of its former self has ended.
    "broker.heartbeat.interval.ms": "300",
    "broker.session.timeout.ms": "3000",
    "controlled.shutdown.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.coordinator.threads": "1",
    "log.cleaner.dedupe.buffer.size": "2000000",
    "log.cleaner.threads": "1",
    "num.io.threads": "2",
    "num.network.threads": "2",
    "num.partitions": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
}


class KafkaServer:
    """One Kafka with its data in `folder`, on ports of its own that stay the same over restarts.

    Attributes:
        bootstrap: host:port to give to clients.
    """

    def __init__(self, folder: Path, java: Sequence[str] = ("-Xmx512m",), **properties: str) -> None:
        """Take two free ports; `properties` win over the defaults, a `__` in a name standing for a dot.

        `java` are further options of the virtual machine.
        """
        self._folder = folder
        self._java = java
        self._process: subprocess.Popen[bytes] | None = None
        port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        self._properties = {
            **SMALL,
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "log.dirs": str(folder / "data"),
            **{name.replace("__", "."): value for name, value in properties.items()},
        }

    def start(self) -> None:
        """Start it on its data (made on the first start); on return it answers.

        Raises:
            RuntimeError: it ended, or does not answer in time; the text holds the end of its log.
        """
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """The same without waiting for its answer."""
        settings = self._folder / "server.properties"
        if not settings.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            settings.write_text("".join(f"{name}={value}\n" for name, value in self._properties.items()))
            self._run("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)).wait()
        self._process = self._run("kafka.Kafka", str(settings))

    def await_answer(self, within: float = START_DEADLINE) -> None:
        """Return when it answers. Raises as start()."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        deadline = time.monotonic() + within
        while not self._answers(admin):
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka did not start; its log ends with:\n{self._end_of_log()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to stop and wait until it has; does nothing if it is not running."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill it as a power cut would; does nothing if it is not running."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    @property
    def running(self) -> bool:
        """Whether it was started and lives."""
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Let it answer nothing, while its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Make a topic; on return it can be written. A `__` in the name of a setting stands for a dot."""
        settings = {key.replace("__", "."): value for key, value in config.items()}
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        topic = NewTopic(name, partitions, 1, config=settings)
        admin.create_topics([topic], operation_timeout=ANSWER_DEADLINE)[name].result(ANSWER_DEADLINE)
        deadline = time.monotonic() + ANSWER_DEADLINE
        while admin.list_topics(name, ANSWER_DEADLINE).topics[name].error is not None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"topic {name} was made but does not appear")

    def read_all(self, topic: str) -> list[Message]:
        """Every committed record of the topic up to its present end, in order within each partition."""
        return list(self.records(topic))

    def records(self, topic: str) -> Iterator[Message]:
        """The same one by one, for topics that are larger than memory.

        Raises:
            RuntimeError: nothing came for START_DEADLINE seconds.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"read-all-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            found = consumer.list_topics(topic, ANSWER_DEADLINE).topics[topic]
            if found.error is not None:
                raise KafkaException(found.error)
            unfinished = set(found.partitions)
            consumer.assign([TopicPartition(topic, partition, 0) for partition in unfinished])
            deadline = time.monotonic() + START_DEADLINE
            while unfinished:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no more of {topic} in {START_DEADLINE:.0f} s, and not its end")
                for message in consumer.consume(10_000, 0.1):
                    deadline = time.monotonic() + START_DEADLINE
                    error = message.error()
                    if error is None:
                        yield message
                    elif error.code() == KafkaError._PARTITION_EOF:
                        unfinished.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()

    def _run(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        jars = jars_folder()
        with (self._folder / "kafka.log").open("ab") as log:
            return subprocess.Popen(
                [*JAVA, *self._java, "-cp", f"{jars}/*", main, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )

    def _answers(self, admin: AdminClient) -> bool:
        try:
            return len(admin.list_topics(timeout=0.2).brokers) > 0
        except KafkaException:
            return False

    def _end_of_log(self) -> str:
        return (self._folder / "kafka.log").read_text(errors="replace")[-3000:]


def jars_folder() -> Path:
    """Where the jars are: $GATEWAY_KAFKA_JARS, else the cache of this checkout."""
    chosen = os.environ.get("GATEWAY_KAFKA_JARS")
    if chosen:
        return Path(chosen)
    version = re.search(r"<kafka.version>(.+)</kafka.version>", (HERE / "kafka-pom.xml").read_text())
    assert version is not None
    return HERE.parents[1] / ".cache" / f"kafka-{version[1]}"


def shared_classes() -> Path:
    """An archive of Kafka's classes as the virtual machine has them in memory: with it a broker starts in half the time.

    Made on the first call, in ten seconds or so. A Java that finds it was made by another one ignores it.
    """
    archive = jars_folder() / "classes.jsa"
    if not archive.exists():
        with tempfile.TemporaryDirectory(prefix="kafka-classes-") as folder:
            made = Path(folder) / archive.name
            server = KafkaServer(Path(folder) / "kafka", (f"-XX:ArchiveClassesAtExit={made}",))
            server.start()
            server.create_topic("some")
            server.stop()
            part = archive.with_suffix(f".{os.getpid()}")
            shutil.copy(made, part)
            part.replace(archive)
    return archive


def missing() -> str:
    """What stands in the way of starting a Kafka here and the command that helps; empty if nothing."""
    if shutil.which("java") is None:
        return "java is not installed: sudo apt-get install default-jre-headless"
    if not any(jars_folder().glob("kafka_*.jar")):
        return f"no Kafka jars in {jars_folder()}: tests/support/fetch_kafka.sh"
    return ""


_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on; none is given twice, as a server may draw some before it binds any."""
    # Below the range the kernel draws from for outgoing connections: one of those could take the port while the
    # server is down, even a client that tries to reach it (to itself).
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = random.randrange(15_000, 30_000)
            if port in _given:
                continue
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
                _given.add(port)
        return found
