import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from gateway import log


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """No test logs where another one has said, nor as its repeats."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    log.end()
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """The events that are logged meanwhile, as dicts."""
    with capture_logs() as found:
        yield found
