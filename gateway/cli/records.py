"""What the commands about anomalies share: where Kafka is, and reading the topic of anomalies."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.anomalies import STORM
from gateway.config import ConfigError, DetectKafka, check_kafka, load
from gateway.config_files import usual_path
from gateway.kafka.readback import Readback, ReadbackError
from gateway.terminal import plain
from gateway.wire import Anomaly, WireError, decode_anomaly


class _OnlyKafka(msgspec.Struct, frozen=True):
    """The part that detect.toml and gateway.toml have in common."""

    kafka: DetectKafka = DetectKafka()


def add_config(parser: argparse.ArgumentParser) -> None:
    """The option that says where Kafka is."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="detect.toml or gateway.toml, for [kafka] (default: $DETECT_CONFIG, else /etc/gateway/detect.toml, else "
        "the same of the gateway)",
    )


def kafka_of(path: Path | None) -> DetectKafka:
    """The settings of Kafka in this file, or in the first of the usual ones that is there.

    Raises:
        ConfigError: the file is refused.
    """
    if path is None:
        usual_paths = [usual_path("detect"), usual_path("gateway")]
        path = next((one for one in usual_paths if one.exists()), None)
        if path is None:
            usual = " nor ".join(str(one) for one in usual_paths)
            raise ConfigError(f"there is neither {usual}: name a file with --config")
    kafka = load(path, _OnlyKafka).kafka
    check_kafka(kafka, path)
    return kafka


class Topic:
    """The anomalies topic. Used from one thread; close() it.

    Attributes:
        damaged: records so far that are no anomalies.
    """

    def __init__(self, kafka: DetectKafka) -> None:
        """Ask the cluster for it.

        Raises:
            ReadbackError: see there; also if there is no such topic.
        """
        self.damaged = 0
        self._readback = Readback(kafka, [kafka.anomalies_topic])
        if self._readback.absent:
            self.close()
            raise ReadbackError(
                f"{kafka.bootstrap_servers}: there is no topic {kafka.anomalies_topic!r}; "
                "has gateway-detect run, and is the name right?"
            )

    def records(self) -> Iterator[Anomaly]:
        """What came since the last call, in order within each partition.

        Raises:
            ReadbackError: see there.
        """
        self._readback.more()
        for lot in self._readback.lots():
            for _, _, _, _, value in lot:
                try:
                    yield decode_anomaly(value or b"")
                except WireError:
                    self.damaged += 1

    def close(self) -> None:
        """Leave the cluster."""
        self._readback.close()


def sensor_of(anomaly: Anomaly, *, with_gateway: bool) -> str:
    """Whose it is, for the eye."""
    if anomaly.rule == STORM:
        return plain(f"{anomaly.gateway}: many")
    if not anomaly.device and not anomaly.sensor:
        return plain(f"{anomaly.gateway} (gateway)")
    name = f"{anomaly.device} {anomaly.sensor}"
    return plain(f"{anomaly.gateway}/{name}" if with_gateway else name)
