"""Rounds of random faults against a real plant, and a judge that counts. `make faults ROUNDS=n SEED=s`.

Prints a line a round, then the table by fault and the last line, and writes it all to build/faults-SEED.json (and as the
latest to build/faults.json). Everything random comes from the seed: a round's fault, moment and length.
"""

import argparse
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import kafka  # noqa: E402 - found through the line above, as all that follow
import mosquitto  # noqa: E402
from catalogue import FAULTS  # noqa: E402
from judge import Judge  # noqa: E402
from plant import PARTITIONS, Plant  # noqa: E402
from reader import Reader  # noqa: E402
from report import last_line, plain  # noqa: E402
from result import Result, Run  # noqa: E402
from rounds import play  # noqa: E402

BUILD: Final = HERE.parents[1] / "build"
SHOWN: Final = 20
"""Broken promises printed of one round; the others are in the JSON."""


def draw(names: Sequence[str], chance: random.Random) -> Iterator[str]:
    """Names without end, each equally often: a shuffled deck after the other."""
    while True:
        deck = list(names)
        chance.shuffle(deck)
        yield from deck


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if every promise was kept, 1 if one was broken, 2 if the laboratory cannot be built here."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # the plant is taken down in order
    options = _options(arguments)
    if obstacle := kafka.missing() or ("" if mosquitto.program() else "mosquitto is missing"):
        sys.stderr.write(f"{obstacle}\n")
        return 2
    if unknown := set(options.faults) - set(FAULTS):
        sys.stderr.write(f"no such fault: {', '.join(unknown)}; there are: {', '.join(FAULTS)}\n")
        return 2
    run = Run(options.seed, options.rounds, {"spill_after": options.spill_after}, _machine())
    path = BUILD / f"faults-{options.seed}.json"
    _play_all(run, options.faults or list(FAULTS), path)
    run.save(BUILD / "faults.json")
    print(plain(run.results))
    unavailable = {result.fault: result.unavailable for result in run.results if result.unavailable}
    for fault, reason in unavailable.items():
        print(f"not tried: {fault}: {reason}")
    failed = any(result.failed for result in run.results) or (unavailable and os.environ.get("CI"))
    print(f"written to {path}")
    print(last_line(run.results))
    return 1 if failed else 0


def _play_all(run: Run, names: Sequence[str], path: Path) -> None:
    judge = Judge()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        _say(f"starting three Kafka brokers, mosquitto, gatewayd and gateway-detect in {folder}")
        with (
            Plant(folder, run.settings["spill_after"]) as plant,
            Reader(plant.cluster.near, "readings", PARTITIONS, judge.take) as reader,
        ):
            for number, name in zip(
                range(1, run.asked + 1), draw(names, random.Random(run.seed)), strict=False
            ):
                result = Result(number, name)
                play(plant, judge, reader, result, FAULTS[name], random.Random(f"{run.seed}/{number}"))
                run.results.append(result)
                run.save(path)
                _tell(result, run.asked)
                if result.failed:
                    _keep_logs(plant, BUILD / f"faults-{run.seed}" / f"round-{number:04}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(result: Result, rounds: int) -> None:
    verdict = result.verdict
    word = "FAILED" if result.failed else "not tried" if result.unavailable else "good"
    parts = [f"{verdict.readings} readings"]
    if result.recovery is not None:
        parts.append(f"recovered in {result.recovery:.1f} s")
    names = (
        "lost",
        "duplicated",
        "reordered",
        "foreign",
        "lost_by_broker",
        "damaged",
        "redelivered",
        "sent_again",
        "copied",
        "late",
    )
    parts += [f"{count} {name.replace('_', ' ')}" for name in names if (count := getattr(verdict, name))]
    if verdict.unsafe:
        parts.append(
            f"{verdict.unsafe} lines unsafe, oldest {verdict.unsafe_age:.2f} s of {result.bound:.2f}"
        )
    note = f" ({result.note})" if result.note else ""
    _say(f"{result.number}/{rounds} {word}: {result.fault}{note}: {', '.join(parts)}; {result.seconds:.1f} s")
    for detail in [*result.complaints, *verdict.details][:SHOWN]:
        _say(f"    {detail}")


def _keep_logs(plant: Plant, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for log in plant.folder.rglob("*.log"):
        if log.is_file() and "data" not in log.parts:
            shutil.copy(log, kept / f"{log.parent.name}-{log.name}")
    _say(f"    logs kept in {kept}")


def _machine() -> dict[str, object]:
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


def _say(text: str) -> None:
    print(text, flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Random faults against a real plant, and what they cost.")
    parser.add_argument("--rounds", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--spill-after", type=float, default=1.0, help="seconds; default: %(default)s")
    parser.add_argument(
        "--faults",
        type=lambda text: [name.strip() for name in text.split(",") if name.strip()],
        default=[],
        help="only these, by their names in the table, separated by commas",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
