"""Look at the devices: what there is, and how they do.

examples:
  gatewayctl devices discover
  gatewayctl devices list
"""

import argparse
from typing import Final

from gateway.cli.verbs import add_verbs, run_verb

VERBS: Final = {
    "discover": (
        "gateway.cli.device_discover",
        "list the serial ports of this machine, and how to configure them",
    ),
    "list": ("gateway.cli.device_list", "show each device: when it was last heard, how often it usually is"),
    "forget": ("gateway.cli.device_forget", "forget a device that was taken away for good"),
}


run = run_verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of this command, each with its options."""
    add_verbs(parser, VERBS)
