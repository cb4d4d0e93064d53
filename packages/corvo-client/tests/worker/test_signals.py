import multiprocessing
import os
import signal
import threading
import time

import pytest

from corvo_client.worker._signals import stopping_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_and_the_second_exits(number: signal.Signals) -> None:
    stops: list[bool] = []
    exits: list[int] = []
    before = signal.getsignal(number)
    with stopping_on_signals(lambda: stops.append(True), exits.append):
        os.kill(os.getpid(), number)
        assert (stops, exits) == ([True], [])
        os.kill(os.getpid(), number)
        assert (stops, exits) == ([True], [128 + number])
    assert signal.getsignal(number) is before


def test_outside_of_the_main_thread_no_signal_handlers_are_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stopping_on_signals(lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert seen == [before]


def test_a_forked_process_is_ended_by_sigterm() -> None:
    """Otherwise `multiprocessing.Pool` would wait for its processes for ever."""
    stops: list[bool] = []
    with stopping_on_signals(lambda: stops.append(True)):
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
        process.start()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)  # perhaps before the fork is complete
        process.join(60)
    try:
        assert process.exitcode == -signal.SIGTERM
    finally:
        process.kill()
    assert stops == []
