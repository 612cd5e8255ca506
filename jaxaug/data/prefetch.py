"""Batches read ahead by a thread, so that a slow disk now and then does not hold up the devices."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")
_U = TypeVar("_U")
_END = object()
_LOOK = 0.1  # seconds between two looks whether anybody still wants the next batch


def prefetched(asked: Iterable[_T], load: Callable[[_T], _U], depth: int = 1) -> Generator[tuple[_T, _U]]:
    """(what was asked for, what was loaded), in order.

    Args:
      asked: what is to be loaded, one after the other.
      load: reads one; called by one thread at a time, in order.
      depth: how many are there or being read at most while the last one is used. 1: the next one is read when it is
        asked for, without a thread, which is while the devices work if they were not waited for.

    Raises:
      Exception: what `load` raises, when it is its turn.
    """
    if depth <= 1:
        for one in asked:
            yield one, load(one)
        return
    ready: queue.Queue[Any] = queue.Queue(depth - 1)
    closing = threading.Event()
    thread = threading.Thread(target=_fill, args=(asked, load, ready, closing), name="prefetch", daemon=True)
    thread.start()
    try:
        while (found := ready.get()) is not _END:
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        closing.set()
        thread.join()


def _fill(asked: Iterable[_T], load: Callable[[_T], _U], ready: queue.Queue[Any], closing: threading.Event) -> None:
    def put(found: Any) -> bool:
        while not closing.is_set():
            try:
                ready.put(found, timeout=_LOOK)
            except queue.Full:
                continue
            return True
        return False

    try:
        for one in asked:
            if closing.is_set() or not put((one, load(one))):
                return
        put(_END)
    except BaseException as error:  # told where the batch is asked for
        put(error)
