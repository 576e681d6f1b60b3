"""Look at what could not be decoded, and make readings of it after the configuration was corrected.

examples:
  gatewayctl dead-letters list --since 2h
  gatewayctl dead-letters show 0:1234
  gatewayctl dead-letters replay --dry-run 3f09a1c2
"""

import argparse
from typing import Final

from gateway.cli.verbs import add_verbs, run_verb

VERBS: Final = {
    "list": ("gateway.cli.dead_letters.listing", "show which there are, by source, place and reason"),
    "show": ("gateway.cli.dead_letters.show", "show one whole, and what would be made of it now"),
    "replay": ("gateway.cli.dead_letters.replay", "make readings of them, once, and send them to Kafka"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of this command, each with its options."""
    add_verbs(parser, VERBS)


run = run_verb
