"""Print what makes a shell complete commands, verbs, options, values, and files where a path is meant.

The Debian package brings it along; this is for an installation with pipx or pip. What is printed goes where the shell looks
for it, and is printed again after an upgrade.

Exit code: 0 printed, 2 gateway-detect is not installed with what it needs.

examples:
  gatewayctl completion bash > ~/.local/share/bash-completion/completions/gatewayctl
  gatewayctl completion fish gatewayd > ~/.config/fish/completions/gatewayd.fish
  gatewayctl completion zsh gateway-detect | sudo tee /usr/local/share/zsh/site-functions/_gateway-detect
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from devices.extras import missing
from gateway.cli.verbs import below

SHELLS: Final = ("bash", "zsh", "fish")
PROGRAMS: Final = ("gatewayctl", "gatewayd", "gateway-detect")
FILES: Final = frozenset({"FILE", "PATH", "SOCKET"})
"""Arguments of these names are paths, as are those whose type says so."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    parser.add_argument(
        "program",
        nargs="?",
        choices=PROGRAMS,
        default=PROGRAMS[0],
        metavar="PROGRAM",
        help="gatewayctl (the default), gatewayd or gateway-detect",
    )


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    try:
        text = script(options.shell, options.program)
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        sys.stderr.write(f"gatewayctl completion: {options.program} {missing('numpy', 'detect')}\n")
        return 2
    sys.stdout.write(text)
    return 0


def script(shell: str, program: str) -> str:
    """What `shell` reads before it completes the first `program`.

    Raises:
        ModuleNotFoundError: the program lacks an extra that it needs.
    """
    import shtab  # noqa: PLC0415 - for --help there is no need

    whole = parser_of(program)
    _mark(whole, shtab.FILE)
    text: str = shtab.complete(whole, shell)
    return text


def parser_of(program: str) -> argparse.ArgumentParser:
    """What parses the words after the program, with all commands and verbs."""
    # Each program is slow to come, and wanted by itself.
    if program == "gatewayctl":
        from gateway.cli import main  # noqa: PLC0415

        return main.parser(main.COMMANDS)
    if program == "gatewayd":
        from gateway import main as gatewayd  # noqa: PLC0415

        return gatewayd.parser()
    from gateway.detect import service  # noqa: PLC0415
    from gateway.detect.backtest import command as backtest  # noqa: PLC0415

    whole = service.parser()
    commands = whole.add_subparsers(metavar="COMMAND")
    inner = backtest.parser()
    commands.add_parser(
        "backtest",
        help="run it over recorded readings",
        description=inner.description,
        formatter_class=inner.formatter_class,
        parents=[inner],
        add_help=False,
    )
    return whole


def _mark(whole: argparse.ArgumentParser, files: Any) -> None:
    """Say to shtab which arguments are paths."""
    for _, parser in below(whole):
        for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
            if action.type is Path or str(action.metavar or action.dest).upper() in FILES:
                action.complete = files  # type: ignore[attr-defined] # shtab looks for it
