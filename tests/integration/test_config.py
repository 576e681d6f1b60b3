"""A configuration in several files, with its secrets in others, and a real gatewayd."""

import json
from pathlib import Path

from daemon import Daemon
from waiting import wait_until

SECRET = "hunter2"  # noqa: S105 - to be looked for
NOBODY = "127.0.0.1:1"


def test_gatewayd_runs_on_drop_ins_and_secrets_and_tells_neither_its_status_nor_its_log_what_they_are(
    tmp_path: Path,
) -> None:
    broker = """
        [sources.plant]
        kind = "mqtt"
        broker = "127.0.0.1"
        port = 1
        topics = ["a/#"]
        username = "u"
        password_file = "mqtt"
        """
    daemon = Daemon(tmp_path / "g", NOBODY, broker)
    credentials, drop_ins = tmp_path / "credentials", tmp_path / "g" / "conf.d"
    for folder in (credentials, drop_ins):
        folder.mkdir()
    for name in ("mqtt", "kafka"):
        (credentials / name).write_text(SECRET)
    (drop_ins / "10-tls.toml").write_text(
        f"""
        [log]
        level = "debug"
        [kafka.options]
        "security.protocol" = "SASL_PLAINTEXT"
        "sasl.mechanism" = "PLAIN"
        "sasl.username" = "u"
        "sasl.password_file" = "kafka"
        "ssl.key.password" = "{SECRET}"
        [sources.more]
        kind = "simulator"
        """
    )
    daemon.environment = {"CREDENTIALS_DIRECTORY": str(credentials), "GATEWAY_TOML": "sources.more.count = 1"}
    with daemon:
        wait_until(
            lambda: daemon.status()["kafka"]["reachable"] is False and daemon.state("plant") != "connected",
            "both servers to be away",
        )
        status = daemon.status()
        wait_until(lambda: daemon.ledger("more")["readings"]["made"] >= 3, "the source of the drop-in")
        daemon.kill()

    assert {one["name"] for one in status["sources"]} == {"plant", "more"}
    assert SECRET not in json.dumps(status)
    assert "debug" in daemon.log.read_text(), "it told all it tells"
    assert SECRET not in daemon.log.read_text()
