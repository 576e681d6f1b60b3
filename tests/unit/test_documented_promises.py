"""What the documentation says is tested is tested."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
DEFINED = {
    name
    for path in (HERE / "tests").rglob("*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
}
DOCUMENTS = sorted((HERE / "docs").glob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=[path.stem for path in DOCUMENTS])
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8")))
    assert named <= DEFINED
