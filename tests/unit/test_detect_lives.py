"""The lives of gateway-detect: which configuration is gone back to, and what a reload is told."""

import asyncio
from pathlib import Path

import pytest
from waiting import until

from gateway.config import ConfigError
from gateway.detect.config import DetectConfig, load_detect
from gateway.detect.lives import Lives

TEXT = "group = '{}'\n"


class Play:
    """Lives whose end is what a test says."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "detect.toml"
        self.write("first")
        self.stop = asyncio.Event()
        self.lives = Lives(load_detect(self.path), self.path, asyncio.Event())
        self.lived: list[str] = []
        self.fate: asyncio.Future[None] | None = None

    def write(self, group: str) -> None:
        self.path.write_text(TEXT.format(group))

    async def live(self, config: DetectConfig, end: asyncio.Event, lives: Lives) -> None:
        self.lived.append(config.group)
        self.fate = asyncio.get_running_loop().create_future()
        lives.begun()
        await until(lambda: end.is_set() or (self.fate and self.fate.done()), "the end")
        if self.fate.done():
            self.fate.result()

    async def lives_as(self, group: str) -> None:
        await until(
            lambda: self.lived[-1:] == [group] and self.fate and not self.fate.done(), f"life {group}"
        )

    def fail(self) -> None:
        assert self.fate is not None
        self.fate.set_exception(ConfigError("the topic does not fit"))


def test_what_was_replaced_is_gone_back_to_only_until_the_new_life_is_at_work(tmp_path: Path) -> None:
    async def scene() -> None:
        play = Play(tmp_path)
        run = asyncio.create_task(play.lives.run(play.stop, play.live))
        await play.lives_as("first")
        play.write("second")
        assert (await play.lives.reloads.outcome()).accepted
        await play.lives_as("second")
        play.fail()
        await play.lives_as("first")
        assert "the topic does not fit" in play.lives.reloads.refused

        assert (await play.lives.reloads.outcome()).accepted
        await play.lives_as("second")
        play.lives.settled()
        play.fail()
        with pytest.raises(ConfigError, match="the topic does not fit"):
            await run

    asyncio.run(scene())


def test_a_life_that_fails_while_the_next_one_waits_does_not_refuse_that(tmp_path: Path) -> None:
    async def scene() -> None:
        play = Play(tmp_path)
        run = asyncio.create_task(play.lives.run(play.stop, play.live))
        await play.lives_as("first")
        play.write("second")
        asking = asyncio.create_task(play.lives.reloads.outcome())
        await until(lambda: play.lives._read.config.group == "second", "the new one to be read")
        play.fail()

        assert (await asking).accepted
        await play.lives_as("second")
        assert play.lives.reloads.refused == ""
        play.stop.set()
        await run

    asyncio.run(scene())
