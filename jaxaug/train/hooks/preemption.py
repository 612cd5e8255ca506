"""SIGTERM and Ctrl-C as a request that a training answers between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StopSignal:
    """Context in which the first SIGTERM or SIGINT only sets `.stop`; a second one acts as it always does."""

    def __init__(self) -> None:
        self.stop = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignal:
        # Python allows handlers in the main thread only; elsewhere the host program keeps its own.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self.stop

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.stop = True
        signal.signal(number, self._before[signal.Signals(number)])
