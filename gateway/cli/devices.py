"""The devices behind the sources.

example: gatewayctl devices list
"""

import argparse
import importlib
from typing import Final

VERBS: Final = {
    "list": ("gateway.cli.device_list", "show each device: when it was last heard, how often it usually is"),
    "forget": ("gateway.cli.device_forget", "forget a device that was taken away for good"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command: those of its verbs."""
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
    """Do what the verb says."""
    code: int = options.run_verb(options)
    return code
