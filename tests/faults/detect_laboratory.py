"""Rounds of random faults against detection, and a judge that compares. `make faults-detect ROUNDS=n SEED=s`.

At the end a single process of another group reads the same readings undisturbed, and is judged the same way: so both
have written the same, record for record. Prints a line a round and a last line, and writes build/faults-detect-SEED.json.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import kafka  # noqa: E402 - found through the line above, as all that follow
from detect_faults import FAULTS  # noqa: E402
from detect_judge import Judge, Verdict  # noqa: E402
from detect_member import Member  # noqa: E402
from detect_plant import ALONE, NAMES, PARTITIONS, Plant  # noqa: E402
from laboratory import draw  # noqa: E402
from waiting import wait_until  # noqa: E402

BUILD: Final = HERE.parents[1] / "build"
ACKNOWLEDGED: Final = 3
"""Anomalies that somebody acknowledges in a round."""


@dataclass
class Round:
    """One round: its fault, a word on it, and the seconds until all that was there when it was mended was dealt with."""

    number: int
    fault: str
    note: str = ""
    recovery: float = 0.0
    complaints: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if the topics are equal, 1 if they differ, 2 if the laboratory cannot be built here."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=lambda text: [one for one in text.split(",") if one], default=[])
    options = parser.parse_args(arguments)
    if obstacle := kafka.missing():
        sys.stderr.write(f"{obstacle}\n")
        return 2
    if unknown := set(options.faults) - set(FAULTS):
        sys.stderr.write(f"no such fault: {', '.join(unknown)}; there are: {', '.join(FAULTS)}\n")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="faults-detect-"))
    rounds: list[Round] = []
    try:
        good = _play(folder, options.rounds, options.seed, options.faults or list(FAULTS), rounds)
    finally:
        BUILD.mkdir(exist_ok=True)
        path = BUILD / f"faults-detect-{options.seed}.json"
        path.write_text(json.dumps([asdict(one) for one in rounds], indent=1) + "\n")
        if rounds and any(one.complaints for one in rounds):
            kept = BUILD / f"faults-detect-{options.seed}"
            shutil.rmtree(kept, ignore_errors=True)
            for log in folder.glob("member-*/log"):
                (kept / log.parent.name).mkdir(parents=True)
                shutil.copy(log, kept / log.parent.name)
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def _play(folder: Path, rounds: int, seed: int, names: Sequence[str], played: list[Round]) -> bool:
    _say(f"starting three Kafka brokers and three processes in {folder}")
    with Plant(folder, random.Random(f"{seed}/feeder")) as plant:
        judge = Judge(plant.cluster.near, PARTITIONS, NAMES)
        asked: list[str] = []
        deck = draw(names, random.Random(seed))
        for number in range(1, rounds + 1):
            this = Round(number, next(deck))
            played.append(this)
            _round(plant, judge, this, asked, random.Random(f"{seed}/{number}"))
            words = [f"recovered in {this.recovery:.1f} s", this.note, *this.complaints]
            word = "FAILED" if this.complaints else "good"
            _say(f"{number:4}/{rounds} {this.fault}: {word}, {', '.join(filter(None, words))}")
        plant.feeder.stop()
        verdict = _end(plant, judge, asked, played[-1])
        judge.close()
        alone = _alone(plant, played[-1])
    _table(played)
    failed = sum(bool(one.complaints) for one in played)
    _say(
        f"faults-detect: {rounds} rounds, {verdict.readings} readings, {verdict.anomalies} anomalies compared, "
        f"{len(asked)} commands, {len(verdict.differences)} differences, {verdict.missing} missing; "
        f"undisturbed: {alone.anomalies} anomalies, {len(alone.differences)} differences; {failed} rounds failed"
    )
    return not failed


def _round(plant: Plant, judge: Judge, this: Round, asked: list[str], chance: random.Random) -> None:
    plant.note = ""
    try:
        time.sleep(chance.uniform(0.2, 1.0))
        with FAULTS[this.fault](plant, chance) as lasts:
            if judge.recent:
                seen = chance.sample(sorted(judge.recent), min(ACKNOWLEDGED, len(judge.recent)))
                plant.feeder.acknowledge(seen)
                asked += [one for one in seen if one not in asked]
            time.sleep(lasts)
        this.recovery = plant.caught_up("what there was at the end of the fault")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this round's failure, and the run goes on
        this.complaints.append(f"{type(error).__name__}: {error}")
        plant.repair()
    known = len(judge.verdict.differences)
    this.note = plant.note
    this.complaints += judge.take().differences[known:]


def _end(plant: Plant, judge: Judge, asked: Sequence[str], last: Round) -> Verdict:
    """All that was sent has been dealt with, and all that was asked for was said."""
    try:
        plant.caught_up("the last reading")
        wait_until(lambda: not judge.take().missing, "the last anomaly", 30)
        wait_until(lambda: _all_said(judge, asked), "the last command", 30)
    except AssertionError as error:
        last.complaints.append(str(error))
    last.complaints += judge.verdict.differences
    _say(f"silences said, each once: {judge.silences()}")
    return judge.verdict


def _all_said(judge: Judge, asked: Sequence[str]) -> bool:
    judge.take()
    return all(judge.said(f"ack-{one}") for one in asked)


def _alone(plant: Plant, last: Round) -> Verdict:
    """One process of another group over the same readings, undisturbed."""
    member = Member(plant.folder / "alone", plant.cluster.near, ALONE)
    member.start()
    try:
        plant.caught_up("the readings by one undisturbed process", 300, ALONE.group)
        member.stop()
    finally:
        member.kill()
    judge = Judge(plant.cluster.near, PARTITIONS, ALONE)
    verdict = judge.take()
    judge.close()
    last.complaints += verdict.differences
    if verdict.missing:
        last.complaints.append(f"undisturbed: {verdict.missing} missing")
    return verdict


def _table(rounds: Sequence[Round]) -> None:
    for fault in sorted({one.fault for one in rounds}):
        these = [one for one in rounds if one.fault == fault]
        times = [one.recovery for one in these]
        _say(
            f"  {fault}: {len(these)} rounds, recovery {median(times):.1f} s, at most {max(times):.1f} s, "
            f"{sum(bool(one.complaints) for one in these)} failed"
        )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
