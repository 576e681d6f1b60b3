"""When a certificate ends, as OpenSSL reads it, and never an exception, whatever is in the file."""

import datetime as dt
from pathlib import Path

from certificates import DAY, Authority
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from devices.tls import _not_after, last_day


def test_the_last_day_is_that_of_the_certificate_by_both_forms_of_a_time(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for days in (1, 365 * 60):  # from 2050 on the four digits of a year are written
        pem, _ = authority.sign("one", ends=days * DAY)
        assert last_day(pem) == x509.load_pem_x509_certificate(pem.read_bytes()).not_valid_after_utc


def test_a_file_that_is_no_certificate_has_none(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    for text in ("", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        path.write_text(text)
        assert last_day(path) is None
    assert last_day(tmp_path / "absent") is None


@given(st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_a_time_or_a_refusal(data: bytes) -> None:
    try:
        found = _not_after(data)
    except (ValueError, IndexError):
        return
    assert isinstance(found, dt.datetime)
