"""Rounds of random faults against gateway-detect, and a judge that compares. `make faults-detect ROUNDS=n SEED=s`.

What has to be written is what the bank says to the readings of each partition, in this process. At the end a single gateway-detect of
another group reads the same readings undisturbed, and is judged the same way: so all three have said the same, record for
record. A rule that had nothing to say fails the run. Prints a line a round and a last line, and writes
build/faults-detect-SEED.json.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import kafka  # noqa: E402 - found through the line above, as all that follow
from detect_faults import FAULTS  # noqa: E402
from detect_fleet import ODD, SPEAK  # noqa: E402
from detect_judge import Expected, Judge  # noqa: E402
from detect_plant import ALONE, NAMES, PARTITIONS, Plant  # noqa: E402
from detect_terms import Asked  # noqa: E402
from laboratory import draw  # noqa: E402
from waiting import wait_until  # noqa: E402

from gateway.detect.bank import Bank  # noqa: E402
from gateway.detect.config import load_detect  # noqa: E402

BUILD: Final = HERE.parents[1] / "build"
ACKNOWLEDGED: Final = 5
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
    with Plant(folder, str(seed)) as plant:
        config = load_detect(plant.members[0].config)
        expected = Expected(plant.cluster.near, PARTITIONS, NAMES, lambda: Bank(config))
        judge = Judge(plant.cluster.near, PARTITIONS, NAMES, expected)
        asked: dict[Asked, None] = {}
        deck = draw(names, random.Random(seed))
        for number in range(1, rounds + 1):
            this = Round(number, next(deck))
            played.append(this)
            _round(plant, judge, this, asked, random.Random(f"{seed}/{number}"))
            words = [f"recovered in {this.recovery:.1f} s", this.note, *this.complaints]
            word = "FAILED" if this.complaints else "good"
            _say(f"{number:4}/{rounds} {this.fault}: {word}, {', '.join(filter(None, words))}")
        plant.feeder.stop()
        moves = _moves(plant)
        _end(plant, judge, asked, played[-1])
        judge.close()
        alone = _alone(plant, expected, played[-1])
        expected.close()
    _table(played)
    _compared("with faults", judge)
    _compared("undisturbed", alone)
    _say(moves)
    answered = sum(map(judge.terms.answered, asked))
    failed = sum(bool(one.complaints) for one in played)
    verdict, other = judge.verdict, alone.verdict
    _say(
        f"silences, each said once: {len(judge.terms.silences)}; commands: {len(asked)}, answered once: {answered}"
    )
    _say(
        f"faults-detect: {rounds} rounds, {expected.readings} readings, {verdict.anomalies} records compared, "
        f"{len(verdict.differences)} differences, {verdict.missing} missing; "
        f"undisturbed: {other.anomalies} compared, {len(other.differences)} differences; {failed} rounds failed"
    )
    return not failed


def _round(plant: Plant, judge: Judge, this: Round, asked: dict[Asked, None], chance: random.Random) -> None:
    plant.note = ""
    try:
        time.sleep(chance.uniform(0.2, 1.0))
        with FAULTS[this.fault](plant, chance) as lasts:
            plant.feeder.say(_ask(judge, asked, chance))
            time.sleep(lasts)
        this.recovery = plant.caught_up("what there was at the end of the fault")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this round's failure, and the run goes on
        this.complaints.append(f"{type(error).__name__}: {error}")
        plant.repair()
    known = len(judge.verdict.differences)
    this.note = plant.note
    this.complaints += judge.take().differences[known:]


def _ask(judge: Judge, asked: dict[Asked, None], chance: random.Random) -> list[Asked]:
    """What somebody says in this round: some are acknowledged, one is accepted or called a fault."""
    said: list[Asked] = [
        (one, "ack") for one in chance.sample(judge.recent, min(ACKNOWLEDGED, len(judge.recent)))
    ]
    said += [(one, chance.choice(["accept", "fault"])) for one in list(judge.told)[-1:]]
    asked.update(dict.fromkeys(said))
    return said


def _end(plant: Plant, judge: Judge, asked: Iterable[Asked], last: Round) -> None:
    """All that was sent has been dealt with, and all that was asked for was said."""
    known = len(judge.verdict.differences)
    try:
        plant.caught_up("the last reading")
        wait_until(lambda: not judge.take().missing, "the last anomaly", 30)
        wait_until(lambda: _all_said(judge, asked), "the last command", 30)
    except AssertionError as error:
        last.complaints.append(str(error))
    last.complaints += judge.verdict.differences[known:] + _silent(judge)


def _all_said(judge: Judge, asked: Iterable[Asked]) -> bool:
    judge.take()
    return all(judge.terms.answered(one) or judge.terms.overtaken(one) for one in asked)


def _silent(judge: Judge) -> list[str]:
    """What had to be said, or to come about, and did not."""
    silent = [f"{rule} had no {grade}" for rule, grade in sorted(SPEAK - set(judge.verdict.compared))]
    silent += [f"no reading was {one}" for one in sorted(ODD) if not judge.expected.counts()[one]]
    if missing := judge.expected.silences - judge.terms.silences:
        silent.append(f"{len(missing)} of {len(judge.expected.silences)} silences were not said")
    if not judge.expected.silences:
        silent.append("nothing was silent")
    return silent


def _alone(plant: Plant, expected: Expected, last: Round) -> Judge:
    """One process of another group over the same readings, undisturbed."""
    member = plant.member("alone", plant.cluster.near, ALONE)
    member.start()
    try:
        plant.caught_up("the readings by one undisturbed process", 600, ALONE.group)
        member.stop()
    finally:
        member.kill()
    judge = Judge(plant.cluster.near, PARTITIONS, ALONE, expected)
    verdict = judge.take()
    judge.close()
    last.complaints += verdict.differences + _silent(judge)
    if verdict.missing:
        last.complaints.append(f"undisturbed: {verdict.missing} missing")
    return judge


def _moves(plant: Plant) -> str:
    restored = [one for member in plant.members for one in member.events("partition restored")]
    replays = sum(one["replays"] for one in restored)
    kills = sum(member.kills for member in plant.members)
    return f"kill -9: {kills}; partitions moved or restored: {len(restored)}, and {replays} readings replayed for that"


def _compared(what: str, judge: Judge) -> None:
    rules = ", ".join(
        f"{rule} ({grade}) {count}" for (rule, grade), count in sorted(judge.verdict.compared.items())
    )
    events = ", ".join(f"{event} {count}" for event, count in sorted(judge.verdict.events.items()))
    counts = ", ".join(f"{name} {count}" for name, count in judge.expected.counts().items())
    _say(f"{what}: compared {rules}; {events}; readings {counts}")


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
