"""Registers the fixtures of tests/support, one module a part."""

pytest_plugins = ["fixtures_kafka"]
