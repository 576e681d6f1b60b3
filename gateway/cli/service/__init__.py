"""Run the gateway as a service of systemd, where it was installed with pipx or pip and no package does it.

examples:
  sudo gatewayctl service install
  gatewayctl service show
  sudo gatewayctl service uninstall
"""

import argparse
from typing import Final

from gateway.cli.verbs import add_verbs, run_verb

VERBS: Final = {
    "install": ("gateway.cli.service.install", "make it a service, or bring the service up to date"),
    "uninstall": ("gateway.cli.service.uninstall", "stop it and take the service away; data are kept"),
    "show": ("gateway.cli.service.show", "show what is installed, and what `install` would change"),
}

run = run_verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of this command, each with its options."""
    add_verbs(parser, VERBS)
