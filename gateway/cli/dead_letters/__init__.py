"""Look at what could not be decoded, and make readings of it after the configuration was corrected.

examples:
  gatewayctl dead-letters list --since 2h
  gatewayctl dead-letters show 0:1234
  gatewayctl dead-letters replay --dry-run 3f09a1c2
"""

import argparse
import importlib
from typing import Final

VERBS: Final = {
    "list": ("gateway.cli.dead_letters.listing", "show which there are, by source, place and reason"),
    "show": ("gateway.cli.dead_letters.show", "show one whole, and what would be made of it now"),
    "replay": ("gateway.cli.dead_letters.replay", "make readings of them, once, and send them to Kafka"),
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
