"""What waits on this machine, in the spools of gateways that do not run; changes nothing there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from structlog.testing import capture_logs

from gateway.config import Spool
from gateway.spool.look import look

STATE: Final = Path("/var/lib")
"""Where services keep what must survive."""


def look_quietly(folder: Path, settings: Spool) -> dict[str, Any]:
    """See gateway.spool.look.look; logs nothing of damage: what can be read is what could be delivered.

    Raises:
        OSError: see there.
    """
    with capture_logs():
        return look(folder, settings)


def unsent(state: Path = STATE) -> Iterator[str]:
    """One line for each spool of a service that holds what Kafka does not have."""
    for folder in sorted(state.glob("gateway*/spool")):
        try:
            found = look_quietly(folder, Spool())
        except OSError as error:
            yield f"{folder}: {error.strerror}; what waits there is not known"
            continue
        if found["readings"] or found["dead_letters"]:
            yield f"{folder}: {found['readings']} readings and {found['dead_letters']} dead letters wait for Kafka"
