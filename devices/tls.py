"""TLS, for MQTT and Kafka alike: whom to trust, who we are, and what a failure means."""

import datetime as dt
import re
import ssl
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from devices.credentials import credential_path
from devices.errors import DeviceError


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`tls = { ... }`: PEM files, for what the system's certificate authorities do not cover.

    Attributes:
        ca: certificate of the authority that signed the broker's. Empty: the authorities that the system trusts.
        cert, key: certificate and private key of this gateway, if the broker asks for them.

    Relative paths are looked up in $CREDENTIALS_DIRECTORY, where systemd puts credentials, if that is set.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""


class TlsFileError(DeviceError):
    """A file cannot be used. The text names key and file, and says what to do.

    Attributes:
        key: of the setting that names it, `tls.ca`.
        problem: the rest of the text.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key} {problem}")
        self.key = key
        self.problem = problem


def files_of(tls: bool | Tls) -> Tls:  # noqa: FBT001 - as the setting has it
    """The files, where they are; empty where there is none."""
    files = tls if isinstance(tls, Tls) else Tls()
    ca, cert, key = (str(credential_path(one)) if one else "" for one in (files.ca, files.cert, files.key))
    return Tls(ca, cert, key)


def tls_context(tls: bool | Tls) -> ssl.SSLContext:  # noqa: FBT001 - as the setting has it
    """Checks the broker's certificate and name; TLS 1.2 at least.

    Raises:
        TlsFileError: a file cannot be read, is no such PEM file, or the key is that of another certificate.
    """
    files = files_of(tls)
    try:
        context = ssl.create_default_context(cafile=files.ca or None)
    except OSError as error:
        raise TlsFileError(
            "tls.ca",
            f"{files.ca} cannot be used: {_reason(error)}; give the PEM file of the authority's certificate",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert:
        _identify(context, files)
    return context


def _identify(context: ssl.SSLContext, files: Tls) -> None:
    secret = files.key or files.cert
    for key, path in (("tls.cert", files.cert), ("tls.key", secret)):
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise TlsFileError(key, f"{path} cannot be used: {_reason(error)}") from None
    try:
        context.load_cert_chain(files.cert, secret, _no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = f"{secret} is the key of another certificate than tls.cert {files.cert}: give those that were made together"
            raise TlsFileError("tls.key", problem) from None
        problem = f"{files.cert} with tls.key {secret} cannot be used: {_reason(error)}; give the paths of PEM files"
        raise TlsFileError("tls.cert", problem) from None
    except _EncryptedError:
        problem = f"{secret} cannot be used: it is encrypted; decrypt it (openssl pkey), and let systemd guard it: docs/security.md"
        raise TlsFileError("tls.key", problem) from None


class _EncryptedError(Exception):
    pass


def _no_password() -> NoReturn:
    """OpenSSL would ask a person at the terminal for it otherwise."""
    raise _EncryptedError


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return (
            "this user may not read it; let the user of the service read it (chown, chmod), and nobody else"
        )
    return (
        "it is no PEM file of that kind" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
    )


_EXPIRED: Final = 10
_NOT_YET: Final = 9
_OTHER_NAME: Final = frozenset({62, 64})
"""What X509_verify_cert_error calls them."""

_OLD: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})
_OUR_CERTIFICATE: Final = re.compile("CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE")
"""Alerts of a server that is not content with who we are."""


def what_failed(error: OSError, host: str, tls: bool | Tls) -> str:  # noqa: FBT001 - as the setting has it
    """What it means that TLS with `host` came up no further: the end of a sentence about the broker, with what to do.

    Empty if it means nothing in particular.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_trusted(error, host)
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        or_else = (
            ""
            if files_of(tls).cert
            else ", or does it want a certificate of this gateway (tls.cert, tls.key)"
        )
        return f"ended the connection while it came up; does this port speak TLS{or_else}?"
    if not isinstance(error, ssl.SSLError):
        return ""
    reason = getattr(error, "reason", None) or "no cause given"
    if reason in _OLD:
        return "speaks no version of TLS from 1.2 on; it has to be updated there"
    if "ALERT" in reason and _OUR_CERTIFICATE.search(reason):
        return _not_content(files_of(tls), reason)
    return f"does not speak TLS at this port ({reason}); name the one that does, or set tls = false"


def _not_trusted(error: ssl.SSLCertVerificationError, host: str) -> str:
    said = f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
    if error.verify_code == _EXPIRED:
        return f"{said}; have it renewed there, or, if it is not that old, set the clock of this machine"
    if error.verify_code == _NOT_YET:
        today = dt.datetime.now(dt.UTC).date()
        return f"{said}; the clock of this machine says {today}: it goes on by itself once that is right"
    if error.verify_code in _OTHER_NAME:
        return (
            f"{said}; connect by the name that is in it, in place of {host!r}, or have one made for this name"
        )
    return f"{said}; set tls.ca to the certificate of the authority that signed it"


def _not_content(files: Tls, alert: str) -> str:
    if not files.cert:
        return "asks for a certificate of this gateway; set tls.cert and tls.key"
    end = last_day(Path(files.cert))
    if end is not None and end < dt.datetime.now(dt.UTC):
        return f"refuses the certificate of this gateway: {files.cert} has expired on {end.date()}; have a new one made"
    said = alert.rpartition("ALERT_")[2].lower().replace("_", " ")
    return (
        f"refuses the certificate of this gateway, {files.cert} (it says: {said}): let it trust the authority that signed it, or "
        "have one signed by an authority that it trusts"
    )


def last_day(path: Path) -> dt.datetime | None:
    """Until when the first certificate in a PEM file is valid; None if that cannot be told. Blocks."""
    try:
        pem = re.search(
            r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", path.read_text(), re.DOTALL
        )
        return _not_after(ssl.PEM_cert_to_DER_cert(pem[0])) if pem else None
    except (OSError, ValueError, IndexError):
        return None


def _not_after(der: bytes) -> dt.datetime:
    """Of a certificate (RFC 5280, 4.1): the sixth part of its first part is a sequence of two times, or the fifth."""
    at, _ = _inside(der, 0)
    at, _ = _inside(der, at)
    parts = []
    for _ in range(5):
        parts.append(at)
        at = _inside(der, at)[1]
    versioned = der[parts[0]] == 0xA0  # noqa: PLR2004 - the tag of the version, which may be missing
    begin, _ = _inside(der, parts[4 if versioned else 3])
    end = _inside(der, begin)[1]
    first, last = _inside(der, end)
    text = der[first:last].decode("ascii")
    form = "%y%m%d%H%M%SZ" if der[end] == 0x17 else "%Y%m%d%H%M%SZ"  # noqa: PLR2004 - the tag of UTCTime
    return dt.datetime.strptime(text, form).replace(tzinfo=dt.UTC)


def _inside(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER element at `at` begins, and where it ends."""
    size, at = der[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, at = int.from_bytes(der[at : at + count], "big"), at + count
    return at, at + size
