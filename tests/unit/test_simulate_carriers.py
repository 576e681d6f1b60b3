"""What carries simulated readings, against the other side of a line and of a connection."""

import os
import socket
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from waiting import wait_until

from devices.simulator.payloads import Payload
from gateway.cli.simulate import mqtt
from gateway.cli.simulate.line import UNREAD, PtyCarrier
from gateway.cli.simulate.mqtt import MqttCarrier, broker_of
from gateway.cli.simulate.trouble import SimulateError

CONNACK = b"\x20\x02\x00\x00"
PUBLISH, PUBLISH_AGAIN = 0x32, 0x3A  # QoS 1; the same with DUP


def payload(data: bytes) -> Payload:
    return Payload("b", "b", data, 1, 0)


def test_what_is_held_back_for_a_line_that_nobody_reads_is_bounded() -> None:
    with closing(PtyCarrier()) as carrier:
        there = os.open(carrier.port, os.O_RDWR | os.O_NOCTTY)
        try:
            carrier.pump()
            sizes = [carrier.send(payload(b"x" * 999)) for _ in range(200)]
        finally:
            os.close(there)

    taken = -(-UNREAD // 1000)
    assert sizes == [1000] * taken + [0] * (200 - taken)


def test_a_link_that_leads_to_a_port_still_there_is_refused_and_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "line-1"
    with closing(PtyCarrier(link)) as first:
        with pytest.raises(SimulateError, match=rf"--link: {link} leads to {first.port}, which is there"):
            PtyCarrier(link)
        assert str(link.readlink()) == first.port
    assert not link.is_symlink()


def test_a_link_whose_maker_was_killed_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "line-1"
    link.symlink_to(tmp_path / "gone")
    with closing(PtyCarrier(link)) as carrier:
        assert str(link.readlink()) == carrier.port


def test_a_link_that_somebody_else_has_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "line-1"
    with closing(PtyCarrier(link)) as first:
        first.leave()
        with closing(PtyCarrier(link)) as second:
            with pytest.raises(SimulateError, match="which is there"):
                first.come_back()
            first.close()
            assert str(link.readlink()) == second.port

            link.unlink()
            link.symlink_to(tmp_path)
    assert link.readlink() == tmp_path


class Broker:
    """Takes two connections and what comes over each, and acknowledges nothing.

    Attributes:
        heard: what came over each connection, behind CONNECT.
    """

    def __init__(self) -> None:
        self.heard = [b"", b""]
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._links: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def drop(self) -> None:
        """Break the connection."""
        with suppress(OSError):
            self._links[-1].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.drop()
        self._thread.join(10)
        self._server.close()

    def _serve(self) -> None:
        for number in range(2):
            link, _ = self._server.accept()
            self._links.append(link)
            with link:
                link.recv(4096)
                link.sendall(CONNACK)
                while data := link.recv(4096):
                    self.heard[number] += data


def test_what_a_broker_may_have_already_says_so_when_it_is_sent_again_and_what_is_new_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "_PAUSE", 0.0)
    with (
        closing(Broker()) as broker,
        closing(MqttCarrier(broker_of(f"mqtt://127.0.0.1:{broker.port}/p"))) as carrier,
    ):
        carrier.send(payload(b"1"))
        carrier.pump()
        wait_until(lambda: broker.heard[0].endswith(b"1"), "the first message")
        broker.drop()

        def lost() -> bool:
            carrier.pump()
            return carrier.lost == 1

        wait_until(lost, "the loss")
        carrier.send(payload(b"2"))

        def again() -> bool:
            carrier.pump()
            return broker.heard[1].endswith(b"2")

        wait_until(again, "both messages")
        assert (carrier.repeated, carrier.waiting()) == (1, 2)
        first, second = broker.heard

    assert first[0] == PUBLISH
    assert second == bytes([PUBLISH_AGAIN]) + first[1:] + first[:-3] + b"\x00\x022"
