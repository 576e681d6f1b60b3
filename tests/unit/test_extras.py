"""What is said where a library of an extra is missing: one sentence with what to do, and no traceback."""

import subprocess
import sys

import pytest

from devices.decoders import make_decoder
from devices.errors import SettingError


def test_gateway_detect_without_numpy_says_in_one_line_what_to_install() -> None:
    code = "import sys; sys.modules['numpy'] = None; from gateway.detect.main import main; sys.exit(main())"
    for arguments in (["--check"], ["backtest", "readings.csv"]):
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, check=False
        )

        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert line.startswith("gateway-detect needs the library numpy: ")
        assert "`pip install '.[detect]'` in a checkout" in line
        assert "`pip install 'FILE.whl[detect]'` with the wheel" in line
        assert done.stdout == ""


def test_a_regex_without_re2_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)

    with pytest.raises(
        SettingError, match=r"needs the library RE2: .*`pip install '\.\[regex\]'` in a checkout"
    ):
        make_decoder({"kind": "regex", "pattern": "(?P<t>.*)"}, "decoder")


def test_what_else_is_missing_is_no_matter_of_an_extra() -> None:
    code = "import sys; sys.modules['msgspec'] = None; from gateway.detect.main import main; main()"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)

    assert "msgspec" in done.stderr
    assert "Traceback" in done.stderr
