"""The command gateway-detect: the service, or one sentence if the library is missing that all of it needs."""

import sys
from collections.abc import Sequence

from devices.extras import missing


def main(arguments: Sequence[str] | None = None) -> int:
    """See gateway.detect.service.main. Returns 2, too, if numpy is not installed."""
    try:
        from gateway.detect import service  # noqa: PLC0415 - numpy is an extra
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        sys.stderr.write(f"gateway-detect {missing('numpy', 'detect')}\n")
        return 2
    return service.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
