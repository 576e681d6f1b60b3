"""Registers the fixtures of tests/support, one module a part, and lets CI skip nothing."""

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

if not os.environ.get("CI"):  # there hypothesis has a profile of its own, which is as patient
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
if examples := os.environ.get("FUZZ_EXAMPLES"):  # make fuzz
    settings.register_profile("fuzz", settings(), max_examples=int(examples), derandomize=False)
    settings.load_profile("fuzz")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a shell's background job. Tests press Ctrl-C, and what they start inherits this.
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "fixtures_access",
    "fixtures_debian",
    "fixtures_kafka",
    "fixtures_logs",
    "fixtures_mqtt",
    "fixtures_doctor",
]  # the last one imports of others


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: a server that is missing there must not look like success."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
