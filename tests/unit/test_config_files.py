"""A configuration in several files: what holds, and who is blamed."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.source import Home
from gateway.config import ConfigError, GatewayConfig, load
from gateway.config_files import Files, read
from gateway.detect.config import load_detect
from gateway.sources import open_sources

SOURCE = '[sources.sim]\nkind = "simulator"\n'

NAMES = ["a", "b", "c.d"]
KEYS = st.sampled_from([*NAMES, "kind"])
LEAVES = st.one_of(
    st.integers(0, 9), st.booleans(), st.text(max_size=3), st.lists(st.integers(0, 9), max_size=3)
)
TABLES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(NAMES),
    st.recursive(LEAVES, lambda below: st.dictionaries(KEYS, below, max_size=4), max_leaves=8),
    max_size=4,
)


def together(*tables: dict[str, Any]) -> dict[str, Any]:
    return Files([(f"{place}.toml", table) for place, table in enumerate(tables)]).table


def expected(below: Any, above: Any) -> Any:
    """The rule of the documentation, as short as it can be said."""
    both = isinstance(below, dict) and isinstance(above, dict)
    if not both or ("kind" in below and "kind" in above and is_other(below["kind"], above["kind"])):
        return above
    return {
        key: expected(below[key], above[key])
        if key in below and key in above
        else (above if key in above else below)[key]
        for key in [*below, *(key for key in above if key not in below)]
    }


def is_other(one: Any, other: Any) -> bool:
    return not isinstance(one, dict) and not isinstance(other, dict) and one != other


@given(TABLES, TABLES, TABLES)
def test_tables_are_merged_key_by_key_and_the_later_file_wins(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    untouched = copy.deepcopy((first, second, third))

    merged = together(first, second, third)

    assert merged == expected(expected(first, second), third)
    assert list(merged) == list(dict.fromkeys([*first, *second, *third])), (
        "in the order in which they were named"
    )
    assert (first, second, third) == untouched


@given(TABLES)
def test_a_file_alone_or_with_empty_ones_or_twice_is_that_file(table: dict[str, Any]) -> None:
    assert together(table) == together({}, table) == together(table, {}) == together(table, table) == table


@given(TABLES, TABLES)
def test_every_value_stands_in_the_last_file_that_has_it(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    files = Files([("first", first), ("second", second)])
    for key, value in files.table.items():
        if not isinstance(value, dict):
            assert files.files_of(key) == ["second" if key in second else "first"]


def write(folder: Path, **files: str) -> Path:
    """gateway.toml and its drop-ins, or those of detect.toml; the names have `__` for `/` and no suffix."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / ("detect.toml" if "detect" in files else "gateway.toml")


def refusal(path: Path) -> str:
    def start() -> object:
        if path.name == "detect.toml":
            return load_detect(path)
        return open_sources(load(path, GatewayConfig), path, Home("pi-7"))

    with pytest.raises(ConfigError) as error:
        start()
    return str(error.value).replace(f"{path.parent}/", "")


def test_drop_ins_are_read_in_the_order_of_their_names_and_the_last_one_wins(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        gateway="[kafka]\nbootstrap_servers = 'a:1'\npartitions = 3\n" + SOURCE,
        **{
            "conf.d__20-b": "kafka.bootstrap_servers = 'c:3'\nsources.sim.count = 7",
            "conf.d__10-a": "[kafka]\nbootstrap_servers = 'b:2'\nreplication = 2\n[sources.other]\nkind = 'simulator'",
        },
    )
    config = load(path, GatewayConfig)

    assert (config.kafka.bootstrap_servers, config.kafka.partitions, config.kafka.replication) == (
        "c:3",
        3,
        2,
    )
    assert config.sources == {"sim": {"kind": "simulator", "count": 7}, "other": {"kind": "simulator"}}
    assert read(path).names == [
        str(path),
        *(str(tmp_path / "conf.d" / f"{name}.toml") for name in ("10-a", "20-b")),
    ]


def test_what_editors_and_packages_leave_behind_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path, gateway=SOURCE, **{"conf.d__a": ""})
    for name in (".a.toml", "a.toml~", "#a.toml#", "a.toml.dpkg-new", "a.conf", ".a.toml.swp"):
        (tmp_path / "conf.d" / name).write_text("nonsense")
    (tmp_path / "conf.d" / ".#a.toml").symlink_to("somebody@here.4711")

    assert read(path).names == [str(path), str(tmp_path / "conf.d" / "a.toml")]


def test_each_file_has_a_folder_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, gateway=SOURCE, detect="", other=SOURCE)
    write(
        tmp_path,
        **{"conf.d__a": "gateway.id = 'g'", "detect.d__a": "group = 'd'", "other.d__a": "gateway.id = 'o'"},
    )

    assert load(tmp_path / "gateway.toml", GatewayConfig).gateway.id == "g"
    assert load(tmp_path / "other.toml", GatewayConfig).gateway.id == "o"
    assert load_detect(tmp_path / "detect.toml").group == "d"


def test_the_environment_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, gateway=SOURCE, **{"conf.d__a": "[gateway]\nid = 'a'"})
    monkeypatch.setenv("GATEWAY_TOML", "gateway.id = 'b'\nkafka.partitions = 2")
    monkeypatch.setenv("DETECT_TOML", "nonsense")
    config = load(path, GatewayConfig)
    assert (config.gateway.id, config.kafka.partitions) == ("b", 2)

    monkeypatch.setenv("GATEWAY_TOML", "gateway.idd = 'b'")
    assert refusal(path).startswith("$GATEWAY_TOML: gateway.idd: unknown key; did you mean `id`?")
    monkeypatch.setenv("GATEWAY_TOML", "gateway.id = b")
    assert refusal(path).startswith("$GATEWAY_TOML: is not valid TOML")


def test_arrays_are_replaced(tmp_path: Path) -> None:
    mqtt = "[sources.m]\nkind = 'mqtt'\nbroker = 'b'\ntopics = ['a/#', 'b/#']\n"
    path = write(tmp_path, gateway=mqtt, **{"conf.d__a": "sources.m.topics = ['c/#']"})

    assert load(path, GatewayConfig).sources["m"]["topics"] == ["c/#"]


def test_a_table_of_another_kind_replaces_the_whole_table(tmp_path: Path) -> None:
    mqtt = "[sources.m]\nkind = 'mqtt'\nbroker = 'b'\ntopics = ['a/#']\ndecoder = { kind = 'csv', header = 'time' }\n"
    path = write(tmp_path, gateway=mqtt, **{"conf.d__a": "sources.m.decoder = { kind = 'json' }"})
    assert load(path, GatewayConfig).sources["m"]["decoder"] == {"kind": "json"}

    write(tmp_path, **{"conf.d__a": "[sources.m]\nkind = 'simulator'"})
    assert load(path, GatewayConfig).sources == {"m": {"kind": "simulator"}}


def test_rules_of_a_later_file_come_first_as_the_first_match_counts(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        detect="[[rules]]\nlimits = { high = 80 }\n[[rules]]\nsensor = 'x'",
        **{
            "detect.d__a": "[[rules]]\ndevice = 'b-*'\nlimits = false",
            "detect.d__b": "[[rules]]\ndevice = 'b-1'",
        },
    )
    config = load_detect(path)

    assert [(rule.device, rule.sensor) for rule in config.rules] == [
        ("b-1", "*"),
        ("b-*", "*"),
        ("*", "*"),
        ("*", "x"),
    ]
    assert config.limits_for("b-1", "temperature") is None
    assert config.limits_for("c", "temperature") is not None


DROPPED = "conf.d__50-x"
MQTT = "[sources.m]\nkind = 'mqtt'\nbroker = 'b'\ntopics = ['a/#']\nusername = 'u'\n"


@pytest.mark.parametrize(
    ("text", "dropped", "says"),
    [
        pytest.param(SOURCE, "[kafka]\nbootstrap_server = 'k:1'", "conf.d/50-x.toml: kafka.bootstrap_server: unknown", id="typo"),
        pytest.param(SOURCE, "[kafak]", "conf.d/50-x.toml: kafak: unknown key", id="table"),
        pytest.param(SOURCE, "sources.sim.cuont = 1", "conf.d/50-x.toml: sources.sim.cuont: unknown key", id="of a source"),
        pytest.param(SOURCE, "kafka.partitions = -1", "conf.d/50-x.toml: kafka.partitions: -1 is not", id="value"),
        pytest.param(SOURCE, "[kafka\n", "conf.d/50-x.toml: is not valid TOML: ", id="no TOML"),
        pytest.param(SOURCE, "sources = 3", "conf.d/50-x.toml: sources: 3 is not allowed", id="a number for a table"),
        pytest.param(SOURCE, "[sources.n]", "conf.d/50-x.toml: sources.n.kind: is required", id="no kind"),
        pytest.param(
            SOURCE + "[kafka.options]\n'security.protocol' = 'ssl'",
            "[kafka.options]\n'group.id' = 'x'",
            "conf.d/50-x.toml: kafka.options: 'group.id' is not allowed",
            id="an option",
        ),
        pytest.param(
            SOURCE + "[kafka.options]\n'security.protocol' = 'ssl'",
            "[kafka.options]\n'sasl.password' = ['hunter2']",
            "conf.d/50-x.toml: kafka.options.sasl.password: (not shown) is not allowed",
            id="the value of an option",
        ),
        pytest.param(
            MQTT + "password = 'x'",
            "sources.m.password_file = 'f'",
            "conf.d/50-x.toml and gateway.toml: sources.m.password_file: excludes password",
            id="two that exclude each other",
        ),
        pytest.param(
            "[sources.l]\nkind = 'serial'\nport = '/dev/x'\nflow = 'rtscts'",
            "sources.l.rs485 = true",
            "conf.d/50-x.toml and gateway.toml: sources.l.rs485: turns the line",
            id="two that do not fit",
        ),
        pytest.param(
            SOURCE + "[kafka]\nreadings_topic = 'a'",
            "kafka.status_topic = 'a'",
            "conf.d/50-x.toml and gateway.toml: kafka.status_topic: 'a' is not allowed",
            id="one topic in two files",
        ),
        pytest.param(
            SOURCE + "[kafka]\npartitions = 2",
            "kafka.readings_topic = 'dead-letters'",
            "conf.d/50-x.toml: kafka.dead_letters_topic: 'dead-letters' is not allowed",
            id="one topic, and the default of the other",
        ),
        pytest.param(
            "[sources.l]\nkind = 'serial'",
            "sources.l.baud = 9600",
            "gateway.toml and conf.d/50-x.toml: sources.l.port: is required",
            id="missing in a table of both",
        ),
        pytest.param(SOURCE + "intervall = 1", "kafka.partitions = 1", "gateway.toml: sources.sim.intervall", id="not of it"),
        pytest.param("", "kafka.partitions = 1", "gateway.toml: sources: is required", id="no source in either"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_file_in_which_the_mistake_stands(
    tmp_path: Path, text: str, dropped: str, says: str
) -> None:
    said = refusal(write(tmp_path, gateway=text, **{DROPPED: dropped}))

    assert said.startswith(says)
    assert "hunter2" not in said


def test_a_rule_is_counted_as_its_own_file_has_it(tmp_path: Path) -> None:
    wrong = "[[rules]]\nsensor = 'a'\n[[rules]]\nlimits = { low = 3, high = 1 }"
    path = write(tmp_path, detect=wrong, **{"detect.d__a": "[[rules]]\nsensor = 'b'"})
    assert refusal(path).startswith("detect.toml: rules.1.limits.low: 3 is not allowed")

    write(tmp_path, detect="[[rules]]\nsensor = 'a'", **{"detect.d__a": wrong.replace("limits", "limit")})
    assert refusal(path).startswith("detect.d/a.toml: rules.1.limit: unknown key")


def test_a_drop_in_or_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, gateway=SOURCE, **{"conf.d__a": ""})
    (tmp_path / "conf.d" / "b.toml").symlink_to("nowhere")
    assert refusal(path) == "conf.d/b.toml: cannot be read: No such file or directory"
    (tmp_path / "conf.d" / "b.toml").unlink()
    (tmp_path / "conf.d" / "b.toml").write_bytes(b"\xff")
    assert refusal(path) == "conf.d/b.toml: cannot be read: is not UTF-8 text"

    write(tmp_path, other=SOURCE)
    other = tmp_path / "other.toml"
    (tmp_path / "other.d").write_text("")
    with pytest.raises(ConfigError, match=r"other\.d: cannot be read: Not a directory"):
        load(other, GatewayConfig)
