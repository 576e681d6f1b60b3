"""The command gatewayd: its arguments, the checks before the start, and what its exit codes mean."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import gateway.plain_structlog  # noqa: F401 - first, as all that follow import structlog

# isort: split
import structlog

from gateway import log
from gateway.config import ConfigError, GatewayConfig, load
from gateway.config_files import placed, usual_path
from gateway.daemon import serve
from gateway.forward import RivalError
from gateway.guard import warn
from gateway.identity import state_dir
from gateway.memory import one_arena

_log = structlog.get_logger()


def parser() -> argparse.ArgumentParser:
    """The arguments of gatewayd."""
    made = argparse.ArgumentParser(
        prog="gatewayd", description="Reads sensors and delivers to Kafka.", allow_abbrev=False
    )
    made.add_argument(
        "--config",
        type=Path,
        default=usual_path("gateway"),
        help="configuration file (default: $GATEWAY_CONFIG, else /etc/gateway/gateway.toml)",
    )
    made.add_argument("--check", action="store_true", help="check the configuration and exit")
    made.add_argument("--version", action="version", version=version("iot-edge-gateway"))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command gatewayd.

    Returns 0 after an ordered stop, 2 if the configuration is refused, 3 if another daemon delivers as this gateway.
    """
    options = parser().parse_args(arguments)
    one_arena()
    try:
        if options.check:
            from gateway.checking import check_gateway  # noqa: PLC0415 - no daemon needs it

            sys.stdout.write(check_gateway(options.config).text())
            return 0
        config = load(options.config, GatewayConfig)
        log.configure(config.log, "gatewayd")
        warn(options.config, state_dir(config.gateway))
        asyncio.run(serve(config, options.config))
    except ConfigError as error:
        sys.stderr.write(f"gatewayd: {placed(options.config, error)}\n")
        return 2
    except RivalError as error:
        _log.error("rival", problem=str(error))
        sys.stderr.write(f"gatewayd: {error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
