"""gatewayd on a machine whose clock the test sets: `clockwork.py FILE COMMAND --config ...`.

FILE holds by how many nanoseconds the clock is wrong; "right" means that it is synchronised. The real clock of a
machine that runs tests is nobody's to set.
"""

import sys
import time
from pathlib import Path

from gateway import clock, daemon, main

FILE = Path(sys.argv[1])


class Clockwork(clock.Clock):
    """As the file says."""

    def __init__(self, *, trusted: bool) -> None:
        super().__init__(trusted=trusted, wall=_wall, synchronised=lambda: FILE.read_text() == "right")


def _wall() -> int:
    wrong = FILE.read_text()
    return time.time_ns() + (0 if wrong == "right" else int(wrong))


if __name__ == "__main__":
    setattr(daemon, "Clock", Clockwork)  # noqa: B010 - a module gives its names away to nobody else
    sys.exit(main.main(sys.argv[3:]))
