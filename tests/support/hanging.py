"""gatewayd whose forwarder hangs on demand, which is missed within seconds: `hanging.py FILE --config ...`.

It hangs in the middle of a delivery, for ever, once FILE is there, which it removes. The deadline around it is shorter
than the real one, for tests that wait for it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from gateway import daemon
from gateway.kafka.transactional import TransactionalSink

FILE = Path(sys.argv[1])


def _asked() -> bool:
    if there := FILE.exists():
        FILE.unlink()
    return there


class _Hanging(TransactionalSink):
    async def send(self, *delivery: Any) -> Any:
        if _asked():
            await asyncio.Event().wait()
        return await super().send(*delivery)


if __name__ == "__main__":
    setattr(daemon, "TransactionalSink", _Hanging)  # noqa: B010 - a module gives its names away to nobody else
    setattr(daemon, "FORWARD_DEADLINE", 3.0)  # noqa: B010 - the same
    sys.exit(daemon.main(sys.argv[2:]))
