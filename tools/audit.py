"""Asks the package index which known vulnerabilities our libraries have: those of this environment, and those of the package.

Exit code 0: none is known, or nobody could be asked, which is said; 1: there are some, each with the version that mends it.
Only the index's own answers count (PyPI's, https://pypi.org/pypi/NAME/VERSION/json); $AUDIT_URL names another one with the same.
What a library brings inside its wheel, such as the OpenSSL in confluent-kafka, it does not know.
"""

import json
import os
import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
PATIENCE: Final = 10.0
OWN: Final = "iot-edge-gateway"


def pinned(text: str) -> dict[str, str]:
    """Name and version of each requirement `name==version`."""
    return dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;]+)", text))


def installed() -> dict[str, str]:
    """The same of this environment."""
    return {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"] != OWN}


def ask(url: str, name: str, version: str) -> list[dict[str, Any]] | str:
    """The vulnerabilities of a release; or why that is not known."""
    # The scheme is ours, or of whoever runs this.
    try:
        with urllib.request.urlopen(f"{url}/{name}/{version}/json", timeout=PATIENCE) as answer:  # noqa: S310
            found = json.load(answer).get("vulnerabilities")
    except (OSError, ValueError) as error:
        return f"{error}"
    if not isinstance(found, list):
        return "the answer names no vulnerabilities"
    return [one for one in found if not one.get("withdrawn")]


def main() -> int:
    """See the module."""
    url = os.environ.get("AUDIT_URL", "https://pypi.org/pypi").rstrip("/")
    shipped = pinned((HERE / "debian" / "libraries.txt").read_text(encoding="utf-8"))
    asked = sorted({*shipped.items(), *installed().items()})
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(asked, pool.map(lambda one: ask(url, *one), asked), strict=True))
    known = {one: answer for one, answer in answers.items() if isinstance(answer, list)}
    if not known:
        sys.stderr.write(
            f"audit: NOTHING WAS CHECKED: {url} gives no advisories ({next(iter(answers.values()))})\n"
        )
        return 0
    for (name, version), answer in answers.items():
        if isinstance(answer, str):
            sys.stderr.write(f"audit: not checked: {name} {version}: {answer}\n")
    bad = [(one, each) for one, answer in known.items() for each in answer]
    for (name, version), each in bad:
        where = "in the Debian package" if shipped.get(name) == version else "in this environment"
        mended = ", ".join(each.get("fixed_in") or []) or "nothing yet"
        called = ", ".join([str(each.get("id")), *(each.get("aliases") or [])])
        sys.stderr.write(f"audit: {name} {version} {where}: {called}; mended by: {mended}\n")
    if not bad:
        sys.stderr.write(f"audit: {len(known)} libraries, no known vulnerability\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
