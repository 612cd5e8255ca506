"""SIGTERM and Ctrl-C as a request that a training answers between two steps, on all processes after the same one."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import jax

from jaxaug.core.cluster import all_told_to_stop, notices_of_preemption
from jaxaug.core.sharding import any_process


class StopSignal:
    """Context in which the first SIGTERM or SIGINT only sets `.stop`; a second one acts as it always does.

    Of several processes JAX itself waits for SIGTERM on each, and tells all of them.
    """

    def __init__(self) -> None:
        self.stop = self._agreed = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignal:
        # Python allows handlers in the main thread only; elsewhere the host program keeps its own.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT,) if notices_of_preemption() else (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self, checked: bool = True) -> bool:
        """Whether to stop now: the same answer on all processes, which must ask together.

        checked: look for Ctrl-C too, which costs several processes a synchronisation.
        """
        if jax.process_count() == 1:
            return self.stop
        # JAX says it once, and only to those who ask each time.
        self._agreed = all_told_to_stop() or self._agreed or (checked and any_process(self.stop))
        return self._agreed

    def __bool__(self) -> bool:
        return self.stop

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.stop = True
        signal.signal(number, self._before[signal.Signals(number)])
