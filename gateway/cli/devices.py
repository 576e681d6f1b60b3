"""Look at the devices: what there is, and how they do.

examples:
  gatewayctl devices discover
  gatewayctl devices list
"""

import argparse
import importlib
from typing import Final

VERBS: Final = {
    "discover": ("gateway.cli.discover", "list the serial ports of this machine, and how to configure them"),
    "list": ("gateway.cli.device_list", "show each device: when it was last heard, how often it usually is"),
    "forget": ("gateway.cli.device_forget", "forget a device that was taken away for good"),
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
