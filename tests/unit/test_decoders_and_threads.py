"""Types that are decoded are known before any thread is there.

What msgspec knows of a type it puts together when the type is first decoded. A second thread that decodes the same type
meanwhile follows a pointer that is not set yet, and the process ends with signal 11: once in some thousand restores of two
partitions at a time. A Decoder made at import, by one thread, has it all.
"""

import ast
from pathlib import Path

SOURCES = sorted(
    path for part in ("gateway", "devices") for path in (Path(__file__).parents[2] / part).rglob("*.py")
)


def late(tree: ast.AST) -> list[int]:
    """The lines that decode a type without a decoder that was made before."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "decode"
        and any(word.arg == "type" for word in node.keywords)
    ]


def test_such_a_line_is_found() -> None:
    assert late(ast.parse("x = 1\nmsgspec.json.decode(body, type=Thing)\ndecoder.decode(body)")) == [2]


def test_no_type_is_decoded_that_a_thread_might_be_the_first_to_know() -> None:
    found = {str(path): lines for path in SOURCES if (lines := late(ast.parse(path.read_text())))}

    assert len(SOURCES) > 100
    assert not found
