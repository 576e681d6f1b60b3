"""The dashboards are as Grafana needs them; that their queries find something is tested with a real Prometheus."""

import json
from pathlib import Path
from typing import Any

import pytest

DASHBOARDS = sorted((Path(__file__).parents[2] / "config" / "grafana" / "dashboards").glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_there_is_one_for_each_service_under_an_id_of_its_own() -> None:
    assert {path.stem: load(path)["uid"] for path in DASHBOARDS} == {
        "gateway": "edge-gateway",
        "gateway-detect": "edge-gateway-detect",
    }


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_are_apart_and_ask_the_chosen_prometheus_about_the_chosen_instances(path: Path) -> None:
    dashboard = load(path)
    panels = dashboard["panels"]
    cells: list[tuple[int, int]] = []
    for panel in panels:
        place = panel["gridPos"]
        cells += [(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])]
        for target in panel.get("targets", ()):
            assert (
                target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            )
            assert target["expr"].count('instance=~"$instance"') == target["expr"].count("{"), target["expr"]

    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {one["name"] for one in dashboard["templating"]["list"]} == {"datasource", "instance"}
