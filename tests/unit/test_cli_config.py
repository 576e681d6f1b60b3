import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway import main as gatewayd
from gateway.cli.main import main
from gateway.detect import service

SOURCE = '[sources.sim]\nkind = "simulator"\n'


def check(path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    path.write_text(text)
    code = main(["config", "check", str(path)])
    out, err = capsys.readouterr()
    return code, out + err


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ('"foo.bar" = 1', "foo.bar"),
        ('"acks" = 0', "acks"),
        ('"batch.size" = "abc"', "batch.size"),
    ],
)
@pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])
def test_options_that_the_kafka_client_refuses_are_found_by_the_check(
    tmp_path: Path, delivery: str, option: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'[kafka]\ndelivery = "{delivery}"\n[kafka.options]\n{option}\n{SOURCE}'
    code, said = check(tmp_path / "gateway.toml", text, capsys)

    assert code == 2
    assert said.startswith(f"{tmp_path / 'gateway.toml'}: kafka.options: refused by the Kafka client")
    assert says in said


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ('"group.id" = "x"', "'group.id' is not allowed: set gateway.id in place of it"),
        ('"transactional.id" = "x"', "'transactional.id' is not allowed: set gateway.id in place of it"),
        ('"isolation.level" = "read_uncommitted"', "'isolation.level' is not allowed: set nothing"),
    ],
)
def test_properties_that_the_gateway_sets_itself_are_refused(
    tmp_path: Path, option: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = check(tmp_path / "gateway.toml", f"[kafka.options]\n{option}\n{SOURCE}", capsys)

    assert code == 2
    assert said.startswith(f"{tmp_path / 'gateway.toml'}: kafka.options: {says}")


def test_a_path_that_no_system_takes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = check(tmp_path / "gateway.toml", f'[gateway]\nstate_dir = "a\\u0000b"\n{SOURCE}', capsys)

    assert code == 2
    assert "gateway.state_dir" in said


def test_what_is_good_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "gateway.toml", SOURCE, capsys)[0] == 0
    assert check(tmp_path / "detect.toml", "", capsys)[0] == 0


MAIN = """
[kafka]
bootstrap_servers = "a:1"
[kafka.options]
"security.protocol" = "ssl"
[sources.plant]
kind = "mqtt"
broker = "b"
topics = ["a/#"]
decoder = { kind = "csv", header = "time" }
[sources."b.c"]
kind = "simulator"
seed = 1
"""
DROPPED = (
    '[kafka]\nbootstrap_servers = "b:2"\n[sources.plant]\nkeepalive = 30\ndecoder = { delimiter = ";" }\n'
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10-x.toml").write_text(DROPPED)
    path = tmp_path / "gateway.toml"
    path.write_text(MAIN)
    return path


def ctl(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = main(["config", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out + err


def shown(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    return json.loads(ctl(capsys, *words, "--json")[1])


def test_show_tells_every_setting_and_which_file_says_so(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = ctl(capsys, "show", files)
    assert code == 0
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:2] == [f"# {files}", f"# {files.parent}/conf.d/10-x.toml"]
    assert 'bootstrap_servers = "b:2" # conf.d/10-x.toml' in lines
    assert "keepalive = 30 # conf.d/10-x.toml" in lines
    assert 'topics = ["a/#"] # gateway.toml' in lines
    assert "receive_maximum = 2000 # default" in lines
    assert "seed = 1 # gateway.toml" in lines, "said, though it is the default"
    both = 'decoder = { kind = "csv", header = "time", delimiter = ";" } # gateway.toml and conf.d/10-x.toml'
    assert both in lines


def test_what_show_prints_is_a_configuration_that_says_the_same(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = files.parent / "again.toml"
    again.write_text(ctl(capsys, "show", files)[1])

    assert ctl(capsys, "diff", files, again) == (0, "")
    detect, same = files.parent / "detect.toml", files.parent / "detect-2.toml"
    detect.write_text(
        'group = "x"\n[[rules]]\nsensor = "a\\u007f"\nlimits = { low = 1, high = 2.5 }\n[[rules]]\nstuck = false\n'
    )
    same.write_text(ctl(capsys, "show", detect)[1])
    assert tomllib.loads(same.read_text())["rules"] == tomllib.loads(detect.read_text())["rules"]
    assert ctl(capsys, "diff", detect, same) == (0, "")


def test_show_as_json_has_the_same(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = shown(capsys, "show", files)
    settings = {one["key"]: one for one in report["settings"]}

    assert report["files"] == [str(files), str(files.parent / "conf.d" / "10-x.toml")]
    assert settings["kafka.bootstrap_servers"] == {
        "key": "kafka.bootstrap_servers",
        "value": "b:2",
        "files": [str(files.parent / "conf.d" / "10-x.toml")],
    }
    assert settings['kafka.options."security.protocol"']["value"] == "ssl"
    assert settings['sources."b.c".seed']["files"] == [str(files)]
    assert settings["spool.when_full"] == {"key": "spool.when_full", "value": "drop-oldest", "files": []}


def test_diff_tells_what_is_not_the_default(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ctl(capsys, "diff", files)

    assert code == 1
    assert 'kafka.bootstrap_servers = "b:2"  # default "localhost:9092"; conf.d/10-x.toml\n' in text
    assert 'sources.plant.broker = "b"  # no default; gateway.toml\n' in text
    assert "seed" not in text, "it is the default, though the file says it"
    found = {one["key"]: one for one in shown(capsys, "diff", files)["differences"]}
    assert found["sources.plant.keepalive"]["default"] == 20

    empty = files.parent / "detect.toml"
    empty.write_text("group = 'gateway-detect'\n")
    assert ctl(capsys, "diff", empty) == (0, "")


def test_diff_tells_what_another_file_says_otherwise(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = files.parent / "other.toml"
    other.write_text(MAIN.replace("seed = 1", "seed = 2"))

    code, text = ctl(capsys, "diff", files, other)
    assert code == 1
    assert text.startswith(f"--- {files}\n+++ {other}\n")
    assert (
        '-kafka.bootstrap_servers = "b:2"  # conf.d/10-x.toml\n+kafka.bootstrap_servers = "a:1"  # other.toml'
        in text
    )
    assert '-sources."b.c".seed = 1  # gateway.toml\n+sources."b.c".seed = 2  # other.toml' in text
    assert "keepalive = 20  # default" in text
    found = {one["key"]: one for one in shown(capsys, "diff", files, other)["differences"]}
    assert found["kafka.bootstrap_servers"] == {
        "key": "kafka.bootstrap_servers",
        "value": "b:2",
        "other": "a:1",
    }
    assert 'sources."b.c".seed' in found

    other.write_text(MAIN + '[sources.s]\nkind = "simulator"\n')
    found = {one["key"]: one for one in shown(capsys, "diff", files, other)["differences"]}
    assert found["sources.s.kind"] == {"key": "sources.s.kind", "other": "simulator"}
    (files.parent / "detect.toml").write_text("")
    assert ctl(capsys, "diff", files, files.parent / "detect.toml")[0] == 2


@pytest.mark.parametrize("verb", ["check", "show", "diff"])
def test_each_verb_refuses_with_2_and_names_the_file(
    files: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    wrong = files.parent / "conf.d" / "20.toml"
    wrong.write_text("sources.plant.keepalife = 3")

    code, said = ctl(capsys, verb, files)

    assert code == 2
    assert f"{wrong}: sources.plant.keepalife: unknown key; did you mean `keepalive`?" in said


def test_check_as_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dropped = files.parent / "conf.d" / "10-x.toml"
    report = shown(capsys, "check", files)
    assert report == {
        "accepted": True, "files": [str(files), str(dropped)], "problem": "",
        "found": "2 source(s): plant, b.c", "advice": [],
    }  # fmt: skip
    dropped.write_text("sources.plant.username = 'u'\nsources.plant.password_file = 'p'")
    in_clear, advice = shown(capsys, "check", files)["advice"]
    assert in_clear.startswith("sources.plant.username: it and the password are sent for everybody")
    assert advice.startswith(
        "sources.plant.password_file: 'p' is not in this folder: it is found only if systemd"
    )
    dropped.write_text("x = 1")
    assert shown(capsys, "check", files)["problem"].startswith(f"{dropped}: x: unknown key")


def test_without_a_file_the_environment_names_it(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_CONFIG", str(files))
    assert ctl(capsys, "check")[1].startswith(f"{files} with ")
    monkeypatch.setenv("GATEWAY_CONFIG", str(files.parent / "none.toml"))
    assert ctl(capsys, "check") == (
        2,
        f"{files.parent / 'none.toml'}: cannot be read: No such file or directory\n",
    )


def test_version_tells_what_runs_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"gateway", "python", "librdkafka", "paho-mqtt", "numpy", "machine"} <= found.keys()
    assert (Path(found["installed_in"]) / "gateway" / "cli" / "version.py").exists()

    assert main(["version"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["librdkafka"] == found["librdkafka"]


@pytest.mark.parametrize(
    "wrong", ["", "[kafka]\nnonsense = 1", '[kafka.options]\n"no.such.property" = 1', "[kafka"]
)
@pytest.mark.parametrize(
    ("name", "folder", "start", "text"),
    [
        ("gateway.toml", "conf.d", gatewayd.main, SOURCE),
        ("detect.toml", "detect.d", service.main, "[[rules]]\nnever_seen = false\n"),
    ],
)
def test_each_daemon_checks_as_gatewayctl_does(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    folder: str,
    start: Any,
    text: str,
    wrong: str,
) -> None:
    path, dropped = tmp_path / name, tmp_path / folder / "a.toml"
    dropped.parent.mkdir()
    path.write_text(text)
    dropped.write_text(wrong)

    codes = [start(["--config", str(path), "--check"])]
    by_itself = capsys.readouterr()
    codes.append(main(["config", "check", str(path)]))
    by_gatewayctl = capsys.readouterr()

    assert codes == ([2, 2] if wrong else [0, 0])
    assert by_itself.out == by_gatewayctl.out
    assert by_itself.err.partition(": ")[2] == by_gatewayctl.err
    if wrong:
        assert by_gatewayctl.err.startswith(f"{dropped}: ")
    else:
        assert by_gatewayctl.out.startswith(f"{path} with {dropped}: accepted: 1 ")


@pytest.mark.parametrize("words", ["config check", "config show", "config diff"])
def test_who_only_looks_waits_for_no_library_that_takes_long(words: str) -> None:
    """They are to answer within 150 ms; the Kafka client is asked only where it has options to refuse."""
    path = Path(__file__).parents[2] / "config" / "gateway.toml"
    slow = ["confluent_kafka", "paho", "serial", "numpy", "rich", "prometheus_client"]
    program = (
        f"import sys; from gateway.cli.main import main; main({[*words.split(), str(path)]!r}); "
        f"sys.exit(' '.join(name for name in {slow!r} if sys.modules.get(name)) or 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr.strip()) == (0, ""), "loads what it does not need"
