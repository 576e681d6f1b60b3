"""Look at the configuration of gatewayd or gateway-detect: FILE with its drop-ins (docs/configuration.md).

FILE is that of gateway-detect if its name begins with `detect`. Without FILE it is the one of gatewayd: $GATEWAY_CONFIG, else
/etc/gateway/gateway.toml.

examples:
  gatewayctl config check
  gatewayctl config show /etc/gateway/detect.toml
  gatewayctl config diff old.toml new.toml
  gatewayctl config schema gateway > gateway.schema.json
"""

import argparse
from typing import Final

from gateway.cli.verbs import add_verbs, run_verb

VERBS: Final = {
    "check": ("gateway.cli.config_check", "check it as its service does at its start"),
    "show": ("gateway.cli.config_show", "show every setting, its value, and which file says so"),
    "diff": ("gateway.cli.config_diff", "show what differs from the defaults, or from another file"),
    "schema": ("gateway.cli.config_schema", "print the JSON Schema for editors"),
}


run = run_verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of this command, each with its options."""
    add_verbs(parser, VERBS)
