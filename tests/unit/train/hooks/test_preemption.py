"""SIGTERM and Ctrl-C as requests."""

import signal
import threading

import pytest

from jaxaug.train.hooks.preemption import StopSignal

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture(autouse=True)
def handlers():
    """A handler of the host program for both signals: a list of what it was told."""
    told = []
    before = {number: signal.signal(number, lambda n, frame: told.append(n)) for number in BOTH}
    yield told
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BOTH)
def test_the_first_asks_and_the_second_acts_as_always(handlers, number):
    with StopSignal() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.stop
        assert handlers == []
        signal.raise_signal(number)
        assert handlers == [number]
    signal.raise_signal(number)
    assert handlers == [number, number]


def test_the_other_signal_still_asks_only(handlers):
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert handlers == []
        assert stop.stop


def test_handlers_come_back_after_an_error():
    before = [signal.getsignal(number) for number in BOTH]
    with pytest.raises(ValueError, match="broken"), StopSignal():
        raise ValueError("broken")
    assert [signal.getsignal(number) for number in BOTH] == before


def test_outside_of_the_main_thread_the_host_program_keeps_its_handlers():
    before, seen = [signal.getsignal(number) for number in BOTH], []

    def enter():
        with StopSignal() as stop:
            seen.append((bool(stop), [signal.getsignal(number) for number in BOTH]))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
