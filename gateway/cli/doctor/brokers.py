"""MQTT brokers: whether each lets the gateway in to its topics, whether it keeps the session, and how much of it."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from devices.errors import SettingError, SourceError
from devices.mqtt.probe import Seen, probe
from devices.mqtt.settings import Settings
from devices.settings import convert
from gateway.cli.arguments import source_table
from gateway.cli.doctor.finding import Finding, Severity, note, ok, problem, warning
from gateway.cli.doctor.here import Here
from gateway.cli.doctor.mosquitto import Mosquitto, mosquitto_at
from gateway.cli.doctor.reach import Unreachable, reach
from gateway.cli.doctor.together import together
from gateway.config import GatewayConfig
from gateway.spans import span

WITHIN: Final = 5.0
"""Seconds that a broker has to show all it can."""

ENOUGH: Final = 10_000
"""Messages that a broker should at least keep for a gateway that is away."""

SHORT: Final = 60
"""Seconds for which a session is worth little."""

WINDOW: Final = 200
"""Messages ahead of their acknowledgement below which a source is slow."""

SIZED: Final = (
    "the mosquitto.conf that comes with the gateway (/usr/share/iot-edge-gateway/config) is sized for it"
)


def brokers(here: Here, config: GatewayConfig) -> Iterator[Finding]:
    """Each broker of each source, side by side."""
    works = []
    for name, table in config.sources.items():
        if table["kind"] == "mqtt":
            settings = _settings(config, here, name)
            if settings is not None:
                works += [
                    partial(_broker, here, name, replace(settings, broker=host)) for host in settings.hosts
                ]
    for one in together(works, WITHIN + 3):
        yield from one.items
        if one.error:
            raise one.error
        if not one.ended:
            yield _hangs()


def _hangs() -> Finding:
    return problem(
        "broker mute",
        "a broker",
        f"it did not do in {WITHIN + 3:g} s what takes milliseconds",
        "look into the log of the broker, and at the network between",
    )


def _settings(config: GatewayConfig, here: Here, name: str) -> Settings | None:
    table = {key: value for key, value in source_table(config, here.path, name).items() if key != "kind"}
    try:
        return convert(table, Settings, f"sources.{name}")
    except SettingError:
        return None  # which the check of the configuration tells


def _broker(here: Here, name: str, settings: Settings) -> Iterator[Finding]:
    host, port = settings.address
    looked_at = f"source {name}, broker {host}:{port}"
    try:
        reach(host, port)
    except Unreachable as error:
        key = f"sources.{name}.broker"
        if error.by_name:
            fix = f"correct {key}, or the name server of this machine: getent hosts {host}"
            yield problem("name unknown", looked_at, f"it {error}", fix)
        else:
            fix = f"is it running (sudo systemctl status mosquitto), are {key} and sources.{name}.port right, and does a firewall let it through?"
            yield problem("broker unreachable", looked_at, f"it {error}", fix)
        return
    local = mosquitto_at(host, port, here.machine)
    if local and local.name_is_id and settings.username:
        found = "it takes the user name for the client id (use_username_as_clientid), so another connection would end that of the gateway"
        yield note("broker not tried", looked_at, found)
        return
    client_id = settings.client_id or f"{here.gateway or 'gateway'}:{name}"
    try:
        seen = probe(settings, f"{client_id}:doctor", WITHIN)
    except SourceError as error:
        found, _, fix = str(error).removeprefix(f"broker {host}:{port} ").rpartition("; ")
        whole = found or fix
        yield problem(
            "broker refuses", looked_at, whole, fix if found else f"look into the log of the broker at {host}"
        )
        return
    findings = [
        *_topics(looked_at, name, settings, seen),
        *_session(looked_at, settings, seen, local),
        *_window(looked_at, name, settings, local),
        *_queue(looked_at, seen, local, _rate(here, name)),
    ]
    if all(one.severity <= Severity.NOTE for one in findings):
        version = seen.said.get("version", "it")
        yield ok(
            f"source {name}",
            f"{version} lets us in, grants {len(settings.topics)} topic(s), keeps the session",
        )
    yield from findings


def _topics(looked_at: str, name: str, settings: Settings, seen: Seen) -> Iterator[Finding]:
    who = settings.username or "anonymous"
    for sentence in seen.refused:
        fix = f"allow user {who} to subscribe to it in the access rules of the broker, or correct sources.{name}.topics"
        yield problem("topic refused", looked_at, sentence.partition(": ")[0], fix)
    for pattern in seen.less:
        yield warning(
            "topic without acknowledgement",
            looked_at,
            f"it grants {pattern!r} with QoS 0 only: what it sends while the connection breaks is lost",
            "allow QoS 1 at the broker (mosquitto: max_qos 1)",
        )


def _session(looked_at: str, settings: Settings, seen: Seen, local: Mosquitto | None) -> Iterator[Finding]:
    if not seen.kept:
        yield problem(
            "session not kept",
            looked_at,
            "it forgot a session while its client was away for a moment: what is published while the gateway is away is lost",
            "let the broker keep sessions (a client id that it does not forbid to be persistent; mosquitto: no persistent_client_expiration of minutes)",
        )
    granted = seen.limits.get("SessionExpiryInterval")
    if granted is not None and granted < SHORT:
        yield warning(
            "session short",
            looked_at,
            f"it keeps a session for {granted} s only, of {settings.session_expiry} s that we ask for",
            "raise the session expiry that the broker allows",
        )
    if local and not local.persistent:
        yield warning(
            "session in memory",
            looked_at,
            "it keeps sessions in memory only: its restart loses what it held for the gateway",
            f"persistence true in {local.file}",
        )


def _window(looked_at: str, name: str, settings: Settings, local: Mosquitto | None) -> Iterator[Finding]:
    if settings.v5:
        if settings.receive_maximum < WINDOW:
            yield warning(
                "window small",
                looked_at,
                f"it may send {settings.receive_maximum} messages ahead of their acknowledgement, and then waits",
                f"set sources.{name}.receive_maximum = 2000",
            )
        return
    if local and 0 < local.inflight < WINDOW:
        yield warning(
            "window small",
            looked_at,
            f"with MQTT 3.1.1 the broker sends {local.inflight} messages ahead of their acknowledgement, and then waits",
            f"max_inflight_messages 2000 in {local.file}, or set sources.{name}.version = 5",
        )
    elif local is None:
        yield note(
            "window unknown",
            looked_at,
            "with MQTT 3.1.1 the broker alone decides how many messages it sends ahead of their acknowledgement (mosquitto: 20)",
            f"max_inflight_messages 2000 in its mosquitto.conf, or set sources.{name}.version = 5",
        )


def _queue(looked_at: str, seen: Seen, local: Mosquitto | None, rate: float) -> Iterator[Finding]:
    dropped = seen.said.get("dropped", "0")
    if dropped.isdigit() and int(dropped):
        yield warning(
            "broker dropped messages",
            looked_at,
            f"it has dropped {dropped} messages since it started, {seen.said.get('uptime', '?')} ago, as a queue was full",
            f"raise max_queued_messages in its mosquitto.conf; {SIZED}",
        )
    if local and 0 < local.queued < ENOUGH:
        lasts = f", {span(local.queued / rate)} at the present rate" if rate else ""
        yield warning(
            "queue small",
            looked_at,
            f"it keeps {local.queued} messages for a gateway that is away{lasts}, and drops all beyond without a word",
            f"max_queued_messages 100000 in {local.file}; {SIZED}",
        )
    elif local is None and seen.said.get("version", "").startswith("mosquitto"):
        yield note(
            "queue unknown",
            looked_at,
            "it does not tell how many messages it keeps for a gateway that is away (mosquitto: 1000, and drops all beyond)",
            f"max_queued_messages 100000 in its mosquitto.conf; {SIZED}",
        )


def _rate(here: Here, name: str) -> float:
    """Readings a second of a source, as the daemon has it."""
    sources: list[dict[str, Any]] = here.status["sources"] if here.status else []
    return next((float(one["readings_per_s"]) for one in sources if one["name"] == name), 0.0)
