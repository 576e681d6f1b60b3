from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """The events that are logged meanwhile, as dicts."""
    with capture_logs() as found:
        yield found
