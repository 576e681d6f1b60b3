import ssl

import msgspec
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from devices.errors import SourceLost, SourceRefused
from devices.mqtt import refusals
from devices.mqtt.settings import Settings

SETTINGS = Settings("broker.example", ["plant/{device}"], username="gw", password="hunter2")  # noqa: S106 - not shown


def reason(packet: int, number: int) -> ReasonCode:
    return ReasonCode(packet, identifier=number)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (132, SourceRefused, 'try version = "3.1.1"'),
        (133, SourceRefused, "set client_id"),
        (134, SourceRefused, "wrong user name or password"),
        (135, SourceRefused, "may not connect"),
        (138, SourceRefused, "banned"),
        (140, SourceRefused, "Bad authentication method"),
        (136, SourceLost, "Server unavailable"),
        (137, SourceLost, "Server busy"),
    ],
)
def test_a_refused_connect_says_who_and_what_to_do_and_waits_long_only_if_somebody_must_act(
    number: int, kind: type[Exception], words: str
) -> None:
    error = refusals.connect_refused(reason(PacketTypes.CONNACK, number), SETTINGS)
    assert type(error) is kind
    assert words in str(error)
    assert "broker.example:1883 refuses user 'gw'" in str(error)
    assert "hunter2" not in str(error)


def test_a_session_taken_over_names_the_client_id_as_the_cause() -> None:
    error = refusals.connection_ended(reason(PacketTypes.DISCONNECT, 142), SETTINGS, by_broker=True)
    assert isinstance(error, SourceRefused)
    assert "a client_id of its own" in str(error)


@pytest.mark.parametrize(
    ("number", "words"), [(141, "did not answer for 20 s"), (128, "closed the connection")]
)
def test_a_connection_that_is_gone_says_how_and_blames_no_other_client(number: int, words: str) -> None:
    error = refusals.connection_ended(reason(PacketTypes.DISCONNECT, number), SETTINGS, by_broker=False)
    assert isinstance(error, SourceLost)
    assert f"broker broker.example:1883 {words}" in str(error)
    assert "client" not in str(error)


def test_a_broker_that_says_goodbye_is_lost_with_its_reason() -> None:
    error = refusals.connection_ended(reason(PacketTypes.DISCONNECT, 139), SETTINGS, by_broker=True)
    assert isinstance(error, SourceLost)
    assert "Server shutting down" in str(error)


def test_a_broker_without_shared_subscriptions_is_named_as_such() -> None:
    error = refusals.subscribe_refused(reason(PacketTypes.SUBACK, 158), "$share/g/a", SETTINGS)
    assert isinstance(error, SourceRefused)
    assert "drop $share/GROUP/" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ssl.SSLError(1, "[SSL] whatever"), SourceRefused),
        (ssl.SSLEOFError(), SourceLost),
        (OSError(101, "Network is unreachable"), SourceLost),
        (TimeoutError(), SourceLost),
        (UnicodeError("label empty or too long"), SourceLost),
    ],
)
def test_whatever_keeps_a_connection_from_coming_up_becomes_a_source_error(
    error: Exception, kind: type[Exception]
) -> None:
    for tls in (False, True):
        made = refusals.connect_failed(error, msgspec.structs.replace(SETTINGS, tls=tls))
        assert type(made) is (kind if tls else SourceLost)
        assert "broker.example:" in str(made)


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert refusals.where(Settings("::1", ["a"])) == "[::1]:1883"
