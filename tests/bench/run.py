"""What the gateway costs and how fast it is, on this machine: a table here, JSON in build/bench.json.

From MQTT QoS 1 to a real Kafka, both started for this on loopback. The work is the same each time. Words on the
command line choose measurements by name.
"""

import logging
import sys
import tempfile
from pathlib import Path
from typing import Final

import structlog

HERE: Final = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import kafka  # noqa: E402 - found through the line above, as all that follow
import mosquitto  # noqa: E402
from card import quiet_card  # noqa: E402
from decoders import decoders  # noqa: E402
from detector import detector  # noqa: E402
from figures import save, say, show  # noqa: E402
from framing import framing  # noqa: E402
from gatewayd import Bench  # noqa: E402
from installed import installed  # noqa: E402
from latency import latency  # noqa: E402
from once import exactly_once  # noqa: E402
from outages import outage  # noqa: E402
from presence import presence  # noqa: E402
from serial_lines import serial_lines  # noqa: E402
from slow_link import slow_link  # noqa: E402
from spool_disk import recovery, spool  # noqa: E402
from waits import start_up, status  # noqa: E402

RESULT: Final = HERE.parents[1] / "build" / "bench.json"

MEASUREMENTS: Final = {
    "full-rate": Bench.full_rate,
    "paced": Bench.paced,
    "latency": latency,
    "start-up": start_up,
    "status": status,
    "detector": detector,
    "spool": spool,
    "recovery": recovery,
    "exactly-once": exactly_once,
    "serial-lines": serial_lines,
    "framing": framing,
    "decoders": decoders,
    "presence": presence,
}

ON_REQUEST: Final = {
    "outage": outage,
    "slow-link": slow_link,
    "quiet-card": quiet_card,
    "installed": installed,
}
"""What takes minutes each: measured only if named."""

BROKER: Final = """
max_inflight_messages 2000
max_queued_messages 0
autosave_interval 3600
"""
"""The broker's window for MQTT 3.1.1 is as large as the gateway's own for MQTT 5, and its queue has no bound."""


def main(names: list[str]) -> int:
    """Measure what is named, or all that takes a short time."""
    known = {**MEASUREMENTS, **ON_REQUEST}
    if unknown := set(names) - set(known):
        sys.stderr.write(f"no such measurement: {', '.join(unknown)}; there are {', '.join(known)}\n")
        return 2
    if obstacle := kafka.missing():
        sys.stderr.write(f"{obstacle}\n")
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    figures = []
    with tempfile.TemporaryDirectory(prefix="bench-") as path:
        folder = Path(path)
        server, broker = kafka.KafkaServer(folder / "kafka"), mosquitto.Mosquitto(folder / "broker", BROKER)
        try:
            say("starting Kafka and mosquitto")
            server.start()
            broker.start()
            bench = Bench(folder, broker, server)
            for name in names or MEASUREMENTS:
                say(name)
                figures += known[name](bench)
        finally:
            broker.stop()
            server.stop()
    show(figures)
    save(figures, RESULT)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
