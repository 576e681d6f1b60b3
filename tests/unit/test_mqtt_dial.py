import _thread
import asyncio

import pytest

from devices.mqtt.dial import ATTEMPTS, Dialer


def test_threads_that_could_not_be_started_are_none_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async def scene() -> None:
        dialer = Dialer()
        with monkeypatch.context() as patched:
            patched.setattr(_thread, "start_new_thread", none_left)
            for _ in range(ATTEMPTS):
                with pytest.raises(RuntimeError):
                    await dialer.run(lambda: None)
        assert not dialer.busy
        await dialer.run(lambda: None)
        assert not dialer.busy

    asyncio.run(scene())
