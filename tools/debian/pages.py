"""Writes man pages and completion from the parsers of the commands, so that they say what --help says.

usage: pages.py FOLDER VERSION
"""

import argparse
import gzip
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.cli.completion import SHELLS, parser_of, script
from gateway.cli.verbs import below


class Command(NamedTuple):
    """A command: the words that call it, and what parses what follows them."""

    words: str
    parser: argparse.ArgumentParser


SUMMARIES: Final = {
    "gatewayd.8": "reads sensors and delivers to Kafka",
    "gateway-detect.8": "reads readings back from Kafka and flags anomalies",
    "gatewayctl.1": "looks after the edge gateway",
}
COMPLETIONS: Final = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/vendor-completions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}
FILES: Final = """.SH FILES
.TP
.I /etc/gateway/gateway.toml, /etc/gateway/conf.d/*.toml
The configuration of gatewayd; every key is explained in it.
.TP
.I /etc/gateway/detect.toml, /etc/gateway/detect.d/*.toml
The configuration of gateway\\-detect.
.TP
.I /etc/gateway/NAME.toml, /etc/gateway/NAME.d/*.toml
That of one more gatewayd, the service gateway@NAME.
.TP
.I /var/lib/gateway, /var/lib/gateway@NAME
What must survive a restart: above all the readings that wait for Kafka.
.TP
.I /run/gateway/gatewayd.sock
What gatewayctl asks; for more than how the gateway is, only by root and the group gateway.
.SH SEE ALSO
.BR gatewayd (8),
.BR gateway\\-detect (8),
.BR gatewayctl (1),
.I /usr/share/doc/iot\\-edge\\-gateway
"""


def roff(text: str) -> str:
    """The text, with nothing in it that means something to man."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line[:1] in {".", "'"} else line for line in lines)


def page(name: str, found: list[Command], version: str) -> str:
    """One man page."""
    title, section = name.rsplit(".", 1)
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"])))
    made = [
        f'.TH {title.upper()} {section} {day} "edge gateway {version}"',
        f".SH NAME\n{roff(title)} \\- {SUMMARIES[name]}",
    ]
    for command in found:
        made.append(f".SH {'DESCRIPTION' if command is found[0] else roff(command.words).upper()}")
        usage = command.parser.format_usage().removeprefix("usage: ")
        told = [usage, command.parser.description or "", command.parser.epilog or ""]
        made.append(".nf\n" + roff("\n\n".join(part.strip() for part in told if part)) + "\n.fi")
        for action in command.parser._actions:  # noqa: SLF001
            if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):  # noqa: SLF001
                made += list(_explained(action))
    return "\n".join(made) + "\n" + FILES


def _explained(action: argparse.Action) -> Iterator[str]:
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
        for one in action._choices_actions:  # noqa: SLF001
            yield f".TP\n.B {roff(one.dest)}\n{roff(one.help or '')}"
        return
    value = action.metavar or (", ".join(map(str, action.choices)) if action.choices else action.dest.upper())
    names = ", ".join(action.option_strings) or value
    value = f" {value}" if action.option_strings and action.nargs != 0 else ""
    yield f".TP\n.B {roff(f'{names}{value}')}\n{roff((action.help or '').replace('%%', '%'))}"


def main(folder: Path, version: str) -> None:
    """Write all of it, as it is to lie below /usr/share."""
    os.environ["COLUMNS"] = "100"
    for name in SUMMARIES:
        program, section = name.rsplit(".", 1)
        path = folder / "man" / f"man{section}" / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = [Command(*one) for one in below(parser_of(program), program)]
        path.write_bytes(gzip.compress(page(name, found, version).encode(), mtime=0))
        for shell in SHELLS:
            path = folder / COMPLETIONS[shell].format(program)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(script(shell, program), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
