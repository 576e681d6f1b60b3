import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from framed import crc, crc32, ibm_3740, ibm_sdlc, marked, modbus, slip, xor

from devices.errors import SettingError
from devices.framing import FRAMINGS, KEPT, checksum, make_framing, template
from devices.framing.checksum import CHECKSUMS, make_checksum
from devices.framing.common import FIRST_PIECE, LAST_PIECE
from devices.framing.scanned import TRIES

CATALOGUE = {
    "crc16-modbus": "374b",
    "crc16-ibm-3740": "29b1",
    "crc16-xmodem": "31c3",
    "crc16-kermit": "8921",
    "crc16-ibm-sdlc": "6e90",
    "crc32": "2639f4cb",
    "sum8": "dd",
    "xor8": "31",
}
"""The check values of the RevEng catalogue, in the order in which they are sent."""


@pytest.mark.parametrize("kind", CATALOGUE)
def test_each_checksum_has_the_check_value_of_the_catalogue(kind: str) -> None:
    check = make_checksum(kind)
    assert check
    found = bytes.fromhex(CATALOGUE[kind])

    assert check.strip(b"123456789" + found) == b"123456789"
    assert check.strip(b"123456788" + found) is None
    assert check.strip(found) is None


def test_a_checksum_can_be_text_in_the_other_order_and_skip_bytes() -> None:
    check = make_checksum({"kind": "crc16-modbus", "order": "big", "hex": True, "skip": 2})

    assert check
    assert check.strip(b"::1234567894b37") == check.strip(b"::1234567894B37") == b"::123456789"
    assert check.strip(b"::123456789374B") is None


def test_an_nmea_sentence_is_checked_from_behind_its_first_character_to_the_star() -> None:
    check = make_checksum("nmea")
    sentence = b"$GPRMC,081836,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E"

    assert check
    assert check.strip(sentence + b"*62") == sentence
    for wrong in (sentence, sentence + b"*63", sentence[1:] + b"*62", b"*00", b""):
        assert check.strip(wrong) is None


@pytest.mark.parametrize(
    ("spec", "key", "allowed"),
    [
        ("lines", "framing.kind", "allowed: line, delimiter, fixed"),
        ({"kind": ["line"]}, "framing.kind", "allowed"),
        ({}, "framing.kind", "allowed"),
        ("fixed", "framing.length", "required"),
        ({"kind": "fixed", "length": 0, "start": "aa"}, "framing.length", ">= 1"),
        ({"kind": "fixed", "length": 8}, "framing", "set `start`"),
        ({"kind": "fixed", "length": 8, "checksum": "crc16-xmodem"}, "framing", "crc16-modbus"),
        ({"kind": "fixed", "length": 8, "start": "$"}, "framing.start", "in hex"),
        ({"kind": "delimiter", "delimiter": ""}, "framing.delimiter", "one byte or more"),
        ({"kind": "delimiter", "delimiter": "00" * 9}, "framing.delimiter", "at most 8 bytes"),
        ({"kind": "line", "delimiter": "0d"}, "framing.delimiter", "unknown key"),
        ({"kind": "length-prefix", "start": "aa 55", "offset": 1}, "framing.offset", "inside `start`"),
        ({"kind": "length-prefix", "start": "aa", "width": 3}, "framing.width", "1, 2, 4"),
        ({"kind": "length-prefix"}, "framing", "set `start`"),
        ({"kind": "start-end", "start": "02", "end": ""}, "framing.end", "one byte or more"),
        ({"kind": "start-end", "start": "02", "end": "03", "escape": "03"}, "framing.end", "escape"),
        ({"kind": "start-end", "start": "7e", "end": "7e", "escape": "7d"}, "framing.escape_xor", "needed"),
        (
            {"kind": "start-end", "start": "02", "end": "03", "checksum_after_end": True},
            "framing.checksum_after_end",
            "checksum",
        ),
        ({"kind": "line", "checksum": "crc16"}, "framing.checksum.kind", "allowed: nmea, crc16-modbus"),
        ({"kind": "line", "checksum": {"kind": "sum8", "skip": -1}}, "framing.checksum.skip", ">= 0"),
        ({"kind": "line", "checksum": {"kind": "nmea", "hex": True}}, "framing.checksum.hex", "unknown key"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(spec: Any, key: str, allowed: str) -> None:
    with pytest.raises(SettingError) as caught:
        make_framing(spec)
    assert caught.value.key == key
    assert allowed in caught.value.problem


@pytest.mark.parametrize("module", [*FRAMINGS.values(), template.__name__])
def test_settings_are_frozen_refuse_unknown_keys_and_have_a_checksum(module: str) -> None:
    settings = importlib.import_module(module).Settings
    assert issubclass(settings, msgspec.Struct)
    assert settings.__struct_config__.frozen
    assert settings.__struct_config__.forbid_unknown_fields
    assert "checksum" in settings.__struct_fields__


DOCUMENT = (Path(__file__).parents[2] / "docs" / "serial.md").read_text(encoding="utf-8")
PARTICLES = b"\xaa\xc0\xd4\x04\x3a\x0a\xa1\x60\x07"
DATA = b"data" + crc32(b"data")  # holds no zero
REGISTERS = b"\x01\x03\x04\x00\xd7\x01\x90"
SENTENCE = b"$GPRMC,081836,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E"
SENT = [
    (b"t=21\r\n", b"t=21"),
    (SENTENCE + b"*62\r\n", SENTENCE),
    (b"t=21\r", b"t=21"),
    (PARTICLES + bytes([sum(PARTICLES[2:]) & 0xFF]), PARTICLES),
    (REGISTERS + modbus(REGISTERS), REGISTERS),
    (b"\xaa\x55\x04data" + ibm_3740(b"\xaa\x55\x04data"), b"\xaa\x55\x04data"),
    (b"\x02+1.5\x03" + bytes([xor(b"+1.5\x03")]), b"+1.5"),
    (b"\x10\x02a\x10\x10b\x10\x03", b"a\x10b"),
    (b"\x7e" + marked(b"\x7e!" + ibm_sdlc(b"\x7e!"), 0x7D, b"\x7d\x7e", 32) + b"\x7e", b"\x7e!"),
    (bytes([len(DATA) + 1]) + DATA + b"\0", b"data"),
    (b"\xc0" + slip(b"\xc0\xdb!" + ibm_3740(b"\xc0\xdb!")), b"\xc0\xdb!"),
]


def test_every_snippet_of_the_documentation_reads_its_frame() -> None:
    snippets = [
        tomllib.loads(line)["framing"]
        for block in re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("framing = ")
    ]

    assert len(snippets) == len(SENT)
    for spec, (wire, frame) in zip(snippets, SENT, strict=True):
        assert make_framing(spec).push(wire) == [frame], spec


def test_the_documentation_knows_every_framing_setting_checksum_and_bound() -> None:
    for kind, module in FRAMINGS.items():
        assert f"| `{kind}` |" in DOCUMENT
        for field in importlib.import_module(module).Settings.__struct_fields__:
            assert field in {"checksum", "gap"} or f"| `{kind}` | `{field}` |" in DOCUMENT
    for kind in CHECKSUMS:
        assert f"| `{kind}` |" in DOCUMENT
    assert f"first {KEPT:,} of them" in DOCUMENT
    assert (FIRST_PIECE, LAST_PIECE, TRIES) == (64, 1024**2, 8)
    assert "up to 64 bytes at first, then twice as many each time, up to 1 MiB" in DOCUMENT


def test_the_template_is_a_working_framing() -> None:
    framing = template.framing(template.Settings(), "framing", None, 100)

    frame, damaged = [*framing.push(b":01030A2B\r\n:010\r\n"), *framing.reset("over")]
    assert frame == b"\x01\x03\x0a\x2b"
    assert not isinstance(damaged, bytes)
    assert "hex digits" in damaged.reason


def test_the_reference_crc_is_that_of_the_catalogue() -> None:
    assert crc(b"123456789", 0x8005, 0xFFFF, reflected=True) == 0x4B37
    assert checksum.make_checksum("") is None
