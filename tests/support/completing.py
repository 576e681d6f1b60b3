"""Asks a real shell what it would complete."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

BASH: Final = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$*
read -ra words < <(complete -p "$1")
for place in "${!words[@]}"; do [[ ${words[place]} == -F ]] && function=${words[place + 1]}; done
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""

FISH: Final = """
source $argv[1]
complete -C "$argv[2]"
"""

# A shell on a pseudo-terminal, whose function `compadd` notes what is offered; then TAB is pressed: once the shell's
# line editor has the terminal, since before that the kernel itself would take ^U as the end of all that was typed.
ZSH: Final = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'autoload -Uz compinit; compinit -u -D; eval "$(<'${(q)1}')"
compadd() {
  typeset -a offered
  if (( ! ${argv[(I)-[OAD]]} )); then
    builtin compadd -A offered "$@"
    (( $#offered )) && print -rl -- $offered >>'${(q)3}'
  fi
  builtin compadd "$@"
}
zstyle ":completion:*:*" insert-tab false
PS1=
zle-line-init() { print "READ""Y" }
zle -N zle-line-init'
zpty -r -m shell noise '*READY*'
zpty -n -w shell $2$'\\t'
zpty -n -w shell $'\\x15print "DO""NE"\\n'
zpty -r -m shell noise '*DONE*'
zpty -d shell
"""


def completed(shell: str, script: Path, *words: str, folder: Path) -> list[str]:
    """What TAB offers after `words`, the last of which is begun, in a shell that has read `script`; runs in `folder`."""
    program = shutil.which(shell)
    if program is None:
        obstacle = f"{shell} is not installed: sudo apt-get install {shell}"
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)
    noted = folder / "noted"
    line = " ".join(words)
    commands: dict[str, list[str | Path]] = {
        "bash": [program, "--norc", "-c", BASH, "bash", script, *words],
        "fish": [program, "--no-config", "-c", FISH, script, line],
        "zsh": [program, "-f", "-c", ZSH, "zsh", script, line, noted],
    }
    done = subprocess.run(
        commands[shell],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert not done.stderr, done.stderr
    if shell == "zsh":
        text = noted.read_text(encoding="utf-8") if noted.exists() else ""
        noted.unlink(missing_ok=True)
    else:
        text = done.stdout
    return sorted({found.split("\t")[0] for found in text.splitlines() if found})
