"""structlog without rich: imported before it, this spares a daemon some 4 MB.

Where rich is installed structlog imports it, to draw tracebacks that no daemon of ours shows; gatewayctl, which draws,
imports it for itself.
"""

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment] # not to be found, for now
    import structlog.dev as _  # noqa: F401

    del sys.modules["rich"]
