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
import importlib
from typing import Final

VERBS: Final = {
    "check": ("gateway.cli.config_check", "check it as its service does at its start"),
    "show": ("gateway.cli.config_show", "show every setting, its value, and which file says so"),
    "diff": ("gateway.cli.config_diff", "show what differs from the defaults, or from another file"),
    "schema": ("gateway.cli.config_schema", "print the JSON Schema for editors"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of this command, each with its options."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (module_name, summary) in VERBS.items():
        module = importlib.import_module(module_name)
        verb = verbs.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(verb)
        verb.set_defaults(run_verb=module.run)


def run(options: argparse.Namespace) -> int:
    """Run the verb."""
    code: int = options.run_verb(options)
    return code
