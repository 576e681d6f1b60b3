"""The verbs of the control socket about devices: what `gatewayctl devices` asks."""

from typing import Any

from gateway.presence import Presence


def device_page(presence: Presence, request: dict[str, Any], now: float) -> dict[str, Any]:
    """`{"verb": "devices", "after": [source, device]}`: the next devices, and whether there are `more`."""
    match request.get("after", ["", ""]):
        case [str(source), str(device)]:
            rows, more = presence.page((source, device), now)
            return {"devices": rows, "more": more}
    return {"error": "`after` is the source and the device of the last row: two texts"}


def forget_device(presence: Presence, request: dict[str, Any]) -> dict[str, Any]:
    """`{"verb": "forget device", "device": name, "source": name or ""}`: `sources` names those that knew it."""
    match request:
        case {"device": str(device), "source": str(source)}:
            if sources := presence.forget(device, source):
                return {"sources": sources}
            where = f" of source {source}" if source else ""
            return {
                "error": f"there is no device {device}{where}: `gatewayctl devices list` names those there are"
            }
    return {"error": "`device` and `source` are texts"}
