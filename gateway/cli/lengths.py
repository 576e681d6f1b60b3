"""Lengths of time as people give them to a command. The standard library alone."""

import argparse
import re


def seconds(text: str) -> float:
    """A length of time such as `30s`, `2m`, `1h`, in seconds.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time; write it as 30s, 2m or 1h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
