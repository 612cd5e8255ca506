"""One arm of one case in a process of its own: `python -m training_step.worker LIBRARY CASE ARM`, see `turns`."""

from __future__ import annotations

import functools
import importlib
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

from turns import serve

SIDES = {"jaxaug": "training_step.ours", "torch": "training_step.in_torch"}


def turn(call: Callable[[], Any], seconds: float) -> list[float]:
    """[wall, CPU] seconds of a call, over at least `seconds` of them; CPU time is that of all threads."""
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while calls == 0 or time.perf_counter() - wall < seconds:
        calls += 1
        call()
    return [(time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls]


def main() -> None:
    library, case, arm = sys.argv[1:]

    def start() -> tuple[Callable[[float], list[float]], dict[str, Any]]:
        begin = time.perf_counter()
        call, report = importlib.import_module(SIDES[library]).make(case, arm)
        made = time.perf_counter()
        first = call()
        found = {"made_in_seconds": made - begin, "first_call_in_seconds": time.perf_counter() - made}
        return functools.partial(turn, call), {
            **report,
            **found,
            "python": platform.python_version(),
            "first_loss": first,
        }

    serve(start)


if __name__ == "__main__":
    main()
