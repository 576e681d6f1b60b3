"""What is said of a setting that is not as its type wants it: words, not the type's own."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from devices.decoders.csv_row import Settings as CsvSettings
from devices.errors import SettingError
from devices.mqtt.settings import Settings as MqttSettings
from devices.settings import convert
from devices.simulator.settings import Settings as SimulatorSettings
from gateway.config import GatewayConfig
from gateway.detect.config import DetectConfig

BROKER = {"broker": "b", "topics": ["t"]}
SENSOR = {"name": "t", "signal": [{"kind": "constant", "level": 1.0}]}


@pytest.mark.parametrize(
    ("kind", "table", "says"),
    [
        (SimulatorSettings, {"faults": []}, "faults: must not be empty"),
        (SimulatorSettings, {"sensors": [{**SENSOR, "signal": []}]}, "sensors.0.signal: must not be empty"),
        (MqttSettings, {**BROKER, "topics": []}, "topics: must not be empty"),
        (MqttSettings, {**BROKER, "topics": [""]}, "topics.0: must not be empty"),
        (
            SimulatorSettings,
            {"prefix": "a b"},
            "prefix: 'a b' is not allowed; allowed: letters, digits, . _ / -, 1 to 100 of them",
        ),
        (SimulatorSettings, {"sensors": [{**SENSOR, "unit": "\n"}]}, "none of them a control character"),
        (
            MqttSettings,
            {**BROKER, "broker": ["b", "a b"]},
            "broker.1: 'a b' is not allowed; allowed: the name",
        ),
        (CsvSettings, {"delimiter": '"'}, "delimiter: '\"' is not allowed; allowed: one character"),
        (GatewayConfig, {"sources": {}, "gateway": {"id": "ä"}}, "id: 'ä' is not allowed; allowed: letters"),
        (GatewayConfig, {"sources": {}, "gateway": {"state_dir": "\0"}}, "allowed: a path"),
        (GatewayConfig, {"sources": {}, "kafka": {"readings_topic": ".."}}, "neither . nor .. alone"),
        (DetectConfig, {"kafka": {"bootstrap_servers": "k"}}, "allowed: HOST:PORT"),
    ],
)
def test_what_is_allowed_is_said_in_words(kind: type[msgspec.Struct], table: Any, says: str) -> None:
    with pytest.raises(SettingError) as error:
        convert(table, kind)

    assert says in str(error.value)
    assert "regex" not in str(error.value)
    assert "`str`" not in str(error.value)


def test_a_pattern_without_words_is_shown_itself() -> None:
    class Bare(msgspec.Struct):
        name: Annotated[str, Meta(pattern="^a+$")] | Annotated[int, Meta(ge=0, description="a number")]

    with pytest.raises(SettingError, match=r"regex '\^a\+\$'"):
        convert({"name": "b"}, Bare)
