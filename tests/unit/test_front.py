"""The front without an agent, without root and without Postgres: a server that sends back what it
hears, and a hand at the control socket."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cowdb.agent.front import startup
from tests.unit.fronthouse import STARTUP, Hand, House, head, heard, refusal

SSL, GSS, CANCEL = head(8, 80877103), head(8, 80877104), head(16, 80877102) + head(7, 7)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as found:  # pytest's own paths are too long for a socket
        yield Path(found)


@pytest.fixture
def house(folder: Path) -> Iterator[House]:
    made = House(folder)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"", "more"), (STARTUP[:7], "more"), (STARTUP[:12], "more"), (STARTUP, "session"),
        (STARTUP + b"and more", "session"), (SSL, "encrypt"), (GSS, "encrypt"),
        (CANCEL, "cancel"), (CANCEL[:15], "more"), (b"GET / HTTP/1.1\r\n\r\n", "nonsense"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "nonsense"),
        (head(10_001, 3 << 16), "nonsense"), (head(8, 3 << 16), "nonsense"),
        (head(20, 2 << 16), "nonsense"), (head(9, 80877103), "nonsense"),
    ],
)  # fmt: skip
def test_what_is_said_first(said: bytes, kind: str) -> None:
    assert startup.read(said)[0] == kind


def test_all_who_come_at_once_wait_and_are_served(house: House) -> None:
    hand = house.hand()
    clients = [house.call(STARTUP) for _ in range(20)]
    hand.until(lambda: hand.door()["sessions"] == 20)
    assert hand.events == [("wake", "b")], "the agent is told once"
    house.serve()
    hand("open", id="b")
    assert [heard(client, len(STARTUP)) for client in clients] == [STARTUP] * 20
    for client in clients:
        client.close()
    hand.until(lambda: hand.door()["sessions"] == 0)
    hand.close()


def test_who_wants_no_session_wakes_nobody(house: House) -> None:
    hand = house.hand()
    with house.call() as silent, house.call(SSL) as asking, house.call(CANCEL) as cancelling:
        assert heard(asking, 1) == b"N"
        assert cancelling.recv(1) == b"", "there is nothing to cancel"
        with house.call(b"GET / HTTP/1.1\r\n\r\n") as strange:
            assert strange.recv(1) == b""
        hand.door()
        assert hand.events == []
        asking.sendall(GSS + STARTUP)
        assert heard(asking, 1) == b"N"
        hand.until(lambda: hand.events)
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.recv(1)
    hand.close()


def test_a_cancel_request_reaches_the_server_and_is_no_use(house: House) -> None:
    hand, echo = house.hand(), house.serve()
    hand("open", id="b")
    with house.call(CANCEL) as client:
        assert heard(client, len(CANCEL)) == CANCEL and echo.heard == [CANCEL]
        assert hand.door()["sessions"] == 0
    hand.close()


def test_nobody_is_cut_off_and_nobody_gets_in_while_it_falls_asleep(house: House) -> None:
    hand, echo = house.hand(), house.serve()
    hand("open", id="b")
    with house.call(STARTUP) as first:
        heard(first, len(STARTUP))
        assert hand("shut", id="b", force=False) == {"ok": False}
        first.sendall(b"still here")
        assert heard(first, 10) == b"still here"
    hand.until(lambda: hand.door()["sessions"] == 0)
    assert hand("shut", id="b", force=False) == {"ok": True}
    with house.call(STARTUP) as late:
        hand.until(lambda: hand.door()["sessions"] == 1)
        assert hand.events == [], "who stops it knows"
        echo.close()
        hand("asleep", id="b")
        hand.until(lambda: hand.events == [("wake", "b")])
        house.serve()
        hand("open", id="b")
        assert heard(late, len(STARTUP)) == STARTUP
    hand.close()


def test_without_an_agent_one_is_told_how_to_start_it(folder: Path) -> None:
    house = House(folder, patience=0.1)
    try:
        house.hand().close()
        with house.call(STARTUP) as client:
            told = refusal(client)
        assert (told["S"], told["C"]) == ("FATAL", "57P03")
        assert "cowdb agent serve" in told["H"]
    finally:
        house.close()


def test_what_could_not_be_woken_says_why(house: House) -> None:
    hand = house.hand()
    with house.call(STARTUP) as client:
        hand.until(lambda: hand.events)
        hand("refuse", id="b", message="the pool is gone", hint="mount it")
        told = refusal(client)
    assert (told["C"], told["M"], told["H"]) == ("57P03", "the pool is gone", "mount it")
    with house.call(STARTUP):
        hand.until(lambda: hand.events == [("wake", "b")] * 2)
    hand.close()


def test_an_agent_that_comes_back_hears_who_knocked_meanwhile(house: House) -> None:
    house.hand().close()
    with house.call(STARTUP):
        time.sleep(0.05)  # nobody can be asked whether it has been heard
        hand = house.hand(serves=False)
        hand("asleep", id="b")  # as an agent says that has just found it
        assert not hand.events
        hand("hello", serves=True)
        hand.until(lambda: hand.events == [("wake", "b")])
        hand.close()
        another = house.hand()  # the one before has heard it, and done nothing
        another.until(lambda: another.events == [("wake", "b")])
        another.close()


def test_a_server_that_died_is_started_again(house: House) -> None:
    hand = house.hand()
    hand("open", id="b")
    with house.call(STARTUP) as client:
        hand.until(lambda: hand.events == [("wake", "b")])
        house.serve()
        hand("open", id="b")
        assert heard(client, len(STARTUP)) == STARTUP
    hand.close()


def test_one_that_is_said_to_run_and_never_does_is_given_up(house: House) -> None:
    hand = house.hand()
    with house.call(STARTUP) as client:
        for _ in range(4):
            hand("open", id="b")
            time.sleep(0.02)
        assert refusal(client)["C"] == "57P03"
    hand.close()


def test_rest_is_told_of_and_a_waiter_who_left_counts_no_more(house: House) -> None:
    hand = house.hand(sleep_after=0.05)
    with house.call(STARTUP):
        hand.until(lambda: hand.door()["sessions"] == 1)
    hand.until(lambda: hand.door()["sessions"] == 0)
    house.serve()
    hand("open", id="b")
    with house.call(STARTUP) as client:
        heard(client, len(STARTUP))
        hand.events.clear()
        time.sleep(0.1)
        hand.door()
        assert hand.events == [], "somebody is there"
    hand.until(lambda: hand.events == [("idle", "b")])
    hand.close()


def test_one_to_which_nobody_ever_comes_is_idle(house: House) -> None:
    hand = house.hand(sleep_after=0.05)
    hand("open", id="b")
    hand.until(lambda: hand.events == [("idle", "b")])
    hand.close()


def test_much_goes_through_intact_while_one_side_is_slow(house: House) -> None:
    hand = house.hand()
    house.serve()
    hand("open", id="b")
    size, chunk = 64 * 2**20, os.urandom(2**20)
    sent = hashlib.sha256(STARTUP + chunk * 64).digest()
    with house.call(STARTUP) as client:

        def write() -> None:
            for _ in range(64):
                client.sendall(chunk)
            client.shutdown(socket.SHUT_WR)

        writer, before = threading.Thread(target=write), _resident()
        writer.start()
        for _ in range(100):  # until everything on the way is full
            turns = house.turns
            time.sleep(0.1)
            if house.turns - turns < 10:
                break
        else:
            raise AssertionError("the front is busy with nothing")
        assert _resident() - before < size / 3
        got, length = hashlib.sha256(), 0
        while data := client.recv(2**20):
            got.update(data)
            length += len(data)
        writer.join()
    assert length == size + len(STARTUP) and got.digest() == sent
    hand.until(lambda: hand.door()["sessions"] == 0)
    hand.close()


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_an_error_of_its_own_costs_one_connection(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hand = house.hand()
    house.serve()
    hand("open", id="b")
    with house.call(STARTUP) as first, monkeypatch.context() as broken:
        heard(first, len(STARTUP))
        broken.setattr(startup, "read", lambda said: 1 / 0)
        with house.call(STARTUP):
            hand.until(lambda: "ZeroDivisionError" in caplog.text)
        broken.undo()
        first.sendall(b"still here")
        assert heard(first, 10) == b"still here"
    hand.close()


def test_too_many_are_told_so(folder: Path) -> None:
    house = House(folder, descriptors=64 + 1 + 2 * 3)
    try:
        hand = house.hand()
        house.serve()
        hand("open", id="b")
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(house.call(STARTUP)) for _ in range(3)]
            assert [heard(client, len(STARTUP)) for client in clients] == [STARTUP] * 3
            with house.call(SSL) as more:
                assert heard(more, 1) == b"N"
                more.sendall(STARTUP)
                assert refusal(more)["C"] == "53300"
        hand.until(lambda: hand.door()["sessions"] == 0)
        with house.call(STARTUP) as again:
            assert heard(again, len(STARTUP)) == STARTUP
        hand.close()
    finally:
        house.close()


def test_only_the_agents_user_is_heard(folder: Path) -> None:
    house = House(folder, agent_uid=os.getuid() + 1)
    try:
        hand = Hand(house.place)
        with pytest.raises((OSError, AssertionError)):
            hand("end")
        hand.close()
        assert not house.front.ended
    finally:
        house.front.ended = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stir:
            with contextlib.suppress(OSError):  # it has looked up already
                stir.connect(house.place)
        house._thread.join(10)
        house.close()


def test_a_released_port_is_free_and_who_waited_is_told(house: House) -> None:
    hand = house.hand()
    with house.call(STARTUP) as client:
        hand.until(lambda: hand.events)
        hand("release", id="b", message="branch 'b' was removed")
        assert refusal(client)["M"] == "branch 'b' was removed"
    with pytest.raises(ConnectionRefusedError):
        house.call()
    hand.close()
