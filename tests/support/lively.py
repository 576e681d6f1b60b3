"""gatewayd that says how it is every ten seconds though it has nothing else to say, for tests that wait for it.

As a program: `lively.py GATEWAYD OPTIONS`.
"""

import sys

from gateway import heartbeat, main

if __name__ == "__main__":
    setattr(heartbeat, "ALONE", 10.0)  # noqa: B010 - it is final
    sys.exit(main.main(sys.argv[2:]))
