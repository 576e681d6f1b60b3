from pathlib import Path

import pytest

from gateway.cli.main import main

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
