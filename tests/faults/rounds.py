"""Plays one round: lets data flow, lets a fault strike, waits for recovery and for quiet, and has the judge count."""

import random
import time
from typing import Final

from inputs import LINE
from judge import Judge
from plant import Fault, Plant, Unavailable
from reader import Reader
from result import Result

from gateway.control import ControlError

RECOVERY_DEADLINE: Final = 90.0
QUIET_DEADLINE: Final = 90.0
QUIET: Final = 1.0
"""Seconds without anything new after which what is missing will not come, if all of that may be missing."""

PATIENT_QUIET: Final = 20.0
"""The same if it would count as lost: time enough for whatever is merely late."""


def play(
    plant: Plant, judge: Judge, reader: Reader, result: Result, fault: Fault, chance: random.Random
) -> None:
    """Play a round and write what happened into `result`. Raises for nothing that a program under test does."""
    began = time.monotonic()
    plant.begin_round()
    plant.inputs.resume()
    try:
        _strike(plant, judge, result, fault, chance)
        plant.inputs.pause()
        _settle(plant, judge)
    except Unavailable as error:
        result.unavailable = str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this round's failure, and the run goes on
        result.complaints.append(f"{type(error).__name__}: {error}")
    try:
        if result.complaints or result.unavailable:
            plant.repair()
            plant.inputs.pause()
            _settle(plant, judge)
        _check(plant, result)
    except Exception as error:  # noqa: BLE001 - likewise
        result.complaints.append(f"{type(error).__name__}: {error}")
    result.verdict = judge.judge(plant.evidence())
    result.complaints += filter(None, [reader.trouble])
    reader.trouble = ""
    result.note = plant.wounds.note
    result.memory = plant.gateway.memory
    result.bound = plant.bound
    result.seconds = time.monotonic() - began


def _strike(plant: Plant, judge: Judge, result: Result, fault: Fault, chance: random.Random) -> None:
    time.sleep(chance.uniform(0.3, 1.5))
    with fault(plant, chance):
        time.sleep(chance.uniform(0.1, 2.0))
    mended = time.monotonic()
    inputs = [plant.inputs.mqtt.said, plant.inputs.serial.said]
    marks = [{device: len(numbers) for device, numbers in said.items()} for said in inputs]
    while not all(judge.has_from(one) for one in marks):
        if time.monotonic() > mended + RECOVERY_DEADLINE:
            raise AssertionError(
                f"no later reading of each input was in Kafka {RECOVERY_DEADLINE:.0f} s after the fault"
            )
        time.sleep(0.01)
    result.recovery = time.monotonic() - mended


def _settle(plant: Plant, judge: Judge) -> None:
    """Return when nothing is missing, or nothing more will come.

    Raises:
        AssertionError: the gateway still holds something after the deadline.
    """
    said = plant.inputs.said
    deadline = time.monotonic() + QUIET_DEADLINE
    since = time.monotonic()
    while True:
        missing = judge.missing(said)
        try:
            status = plant.gateway.status()
            rest = plant.at_rest(status)
        except ControlError as error:
            status, rest = {"error": str(error)}, False
        now = time.monotonic()
        if not rest or judge.latest > since * 1e9:
            since = now
        quiet = now - since if rest else 0.0
        if rest and not missing:
            return
        if quiet > PATIENT_QUIET or (quiet > QUIET and not judge.lost(plant.evidence())):
            return
        if now > deadline:
            raise AssertionError(
                f"not at rest after {QUIET_DEADLINE:.0f} s: {missing} missing, {plant.record.waiting} MQTT messages "
                f"unacknowledged, status {status}"
            )
        time.sleep(0.05)


def _check(plant: Plant, result: Result) -> None:
    plant.gateway.weigh()
    ledger = plant.gateway.status()["ledger"]
    if not ledger["balanced"]:
        result.complaints.append(f"the ledger does not balance: {ledger}")
    result.complaints += [f"gatewayd ended by itself with code {code}" for code in plant.gateway.ends]
    result.complaints += filter(None, [check() for check in plant.wounds.checks])
    if LINE not in ledger["sources"]:
        result.complaints.append(f"the ledger forgot a source: {ledger}")
