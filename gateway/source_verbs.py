"""The verb of the control socket about one source: what is configured, for `gatewayctl sources NAME`."""

from collections.abc import Mapping
from typing import Any

from devices.settings import without_secrets


def source_settings(tables: Mapping[str, Mapping[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """`{"verb": "source settings", "source": NAME}`: what its table says, as `settings`; no secrets."""
    match request:
        case {"source": str(name)} if name in tables:
            return {"settings": {key: without_secrets(key, value) for key, value in tables[name].items()}}
        case {"source": str(name)}:
            return {"error": f"there is no source {name!r}; there are: {', '.join(tables)}"}
    return {"error": "`source` is a text"}
