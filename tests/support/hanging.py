"""gatewayd whose forwarder hangs on demand, which is missed within seconds: `hanging.py FILE --config ...`.

It hangs in the middle of a delivery, for ever, once FILE is there, which it removes. The deadline around it is shorter
than the real one, for tests that wait for it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from gateway import daemon, main
from gateway.kafka.transactional import TransactionalSink

FILE = Path(sys.argv[1])
SEND = TransactionalSink.send


def _asked() -> bool:
    if there := FILE.exists():
        FILE.unlink()
    return there


async def _send(self: TransactionalSink, *delivery: Any) -> Any:
    if _asked():
        await asyncio.Event().wait()
    return await SEND(self, *delivery)


if __name__ == "__main__":
    setattr(TransactionalSink, "send", _send)  # noqa: B010 - a method
    setattr(daemon, "FORWARD_DEADLINE", 3.0)  # noqa: B010 - it is final
    sys.exit(main.main(sys.argv[2:]))
