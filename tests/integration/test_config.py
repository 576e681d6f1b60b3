"""A configuration in several files, with its secrets in others, and a real gatewayd."""

import json
import subprocess
from pathlib import Path

from daemon import COMMANDS, Daemon
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


def test_both_daemons_check_as_gatewayctl_does(tmp_path: Path) -> None:
    for service, command, text in (
        ("gateway", "gatewayd", '[sources.s]\nkind = "simulator"\n'),
        ("detect", "gateway-detect", "[[rules]]\nnever_seen = false\n"),
    ):
        path = tmp_path / f"{service}.toml"
        dropped = tmp_path / ("conf.d" if service == "gateway" else "detect.d") / "a.toml"
        dropped.parent.mkdir()
        path.write_text(text)
        for wrong in ("", "[kafka]\nnonsense = 1", '[kafka.options]\n"no.such.property" = 1', "[kafka"):
            dropped.write_text(wrong)
            ran = [
                subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
                for words in (
                    [str(COMMANDS / command), "--config", str(path), "--check"],
                    [str(COMMANDS / "gatewayctl"), "config", "check", str(path)],
                )
            ]
            assert {one.returncode for one in ran} == {2 if wrong else 0}
            assert ran[0].stdout == ran[1].stdout
            assert ran[0].stderr.removeprefix(f"{command}: ") == ran[1].stderr
            assert not wrong or ran[1].stderr.startswith(f"{dropped}: ")
            assert wrong or ran[1].stdout.startswith(f"{path} with {dropped}: accepted: 1 ")
