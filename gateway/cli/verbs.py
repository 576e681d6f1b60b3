"""Commands that have verbs, each in a module of its own."""

import argparse
import importlib
from collections.abc import Iterator, Mapping


def add_verbs(parser: argparse.ArgumentParser, verbs: Mapping[str, tuple[str, str]]) -> None:
    """Add the verbs: by name, the module, and what it does in a few words."""
    choice = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (module_name, summary) in verbs.items():
        module = importlib.import_module(module_name)
        verb = choice.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(verb)
        verb.set_defaults(run_verb=module.run)


def run_verb(options: argparse.Namespace) -> int:
    """Run the one that was given."""
    code: int = options.run_verb(options)
    return code


def below(parser: argparse.ArgumentParser, words: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """What `words` call, and all that their next word may choose; with what parses the words that follow."""
    yield words, parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                yield from below(inner, f"{words} {name}".strip())
