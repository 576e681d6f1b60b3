"""What is kept of each round, in JSON and for the table."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from judge import Verdict


@dataclass
class Result:
    """One round.

    Attributes:
        number, fault, note: which one it was.
        verdict: what became of its readings.
        recovery: seconds from the end of the fault until a later reading of each input was in Kafka.
        memory: the most that was resident in gatewayd, in MB.
        bound: seconds that an unsafe reading might be old.
        seconds: how long the round took.
        unavailable: why the fault could not be tried; empty if it was.
        complaints: what was wrong beside broken promises of the verdict.
    """

    number: int
    fault: str
    note: str = ""
    verdict: Verdict = field(default_factory=Verdict)
    recovery: float | None = None
    memory: float = 0.0
    bound: float = 0.0
    seconds: float = 0.0
    unavailable: str = ""
    complaints: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a promise was broken, or the round could not be judged."""
        return self.verdict.broken or bool(self.complaints)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self:
        """From JSON."""
        return cls(**{**data, "verdict": Verdict(**data["verdict"])})


@dataclass
class Run:
    """All rounds of one run.

    Attributes:
        seed, asked: what it was started with.
        settings, machine: under what it ran, for a reader years later.
        results: the rounds so far.
    """

    seed: int
    asked: int
    settings: dict[str, Any]
    machine: dict[str, Any]
    results: list[Result] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """What save() wrote."""
        data = json.loads(path.read_text())
        return cls(**{**data, "results": [Result.of(one) for one in data["results"]]})
