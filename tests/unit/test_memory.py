"""The daemon keeps to what it needs: asked in a process of its own, as imports and malloc's settings last."""

import subprocess
import sys


def told_by(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_gatewayd_does_not_import_rich() -> None:
    loaded = "any(name.partition('.')[0] == 'rich' for name in sys.modules)"
    assert told_by(f"import sys, gateway.main; print({loaded})") == "False"


def test_rich_can_be_imported_afterwards() -> None:
    assert told_by("import gateway.main, rich.table; print('drawn')") == "drawn"


def test_setting_up_malloc_does_no_harm() -> None:
    assert told_by("from gateway.memory import one_arena; one_arena(); print(len(bytes(10**6)))") == "1000000"
