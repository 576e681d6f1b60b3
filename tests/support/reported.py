"""Reports of a gateway as `gatewayctl status --json` prints them, made up."""

from typing import Any


def source(name: str, **other: Any) -> dict[str, Any]:
    """One that is well, but for what is said."""
    problems = (
        [f"is {other['state']}: no such port"] if other.get("state", "connected") != "connected" else []
    )
    return {
        "name": name,
        "kind": "serial",
        "where": "/dev/ttyUSB0",
        "state": "connected",
        "for_s": 60.0,
        "trouble": "",
        "last_trouble": "",
        "last_trouble_age_s": None,
        "problems": problems,
        "standing_in": False,
        "silent": False,
        "waiting": False,
        "readings_per_s": 1.0,
        "last_reading_age_s": 0.5,
        "devices": 2,
        "devices_silent": 0,
        "devices_missing": 0,
        "devices_forgotten": 0,
        "counts": {"frames": 10, "checksum_errors": 0, "connects": 1},
        "dead_letters": 0,
        "dead_letters_by_reason": {"undecoded": 0},
        **other,
    }


def balance(*, balanced: bool = True) -> dict[str, Any]:
    """Of one source."""
    return {
        "payloads": {"received": 10, "decoded": 10, "ignored": 0, "dead_lettered": 0},
        "readings": {"made": 20, "delivered": 20, "spooled": 0, "in_memory": 0, "refused": 0, "dropped": {}},
        "dead_letters_dropped": 0,
        "balanced": balanced,
    }


def report(*sources: dict[str, Any], reasons: list[str] | None = None) -> dict[str, Any]:
    """Of a gateway with these sources."""
    return {
        "health": "degraded" if reasons else "healthy",
        "reasons": reasons or [],
        "gateway": {"id": "pi-7", "version": "0.1.0", "pid": 1, "started": 1, "uptime_s": 60.0},
        "sources": list(sources),
        "spool": {
            "readings": 0,
            "on_disk": 0,
            "bytes": 0,
            "capacity_bytes": 1,
            "memory_bytes": 0,
            "memory_capacity_bytes": 1,
            "lasts_s": 300,
            "when_full": "drop-oldest",
        },
        "kafka": {
            "bootstrap_servers": "localhost:9092",
            "reachable": True,
            "for_s": 60.0,
            "trouble": "",
            "delivered_per_s": 1.0,
            "last_delivery_age_s": 0.1,
        },
        "clock": {"synchronised": True},
        "ledger": {
            "balanced": True,
            "unclean_stops": 0,
            "sources": {one["name"]: balance() for one in sources},
        },
    }
