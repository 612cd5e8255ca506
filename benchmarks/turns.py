"""Contenders in processes of their own that take turns, in an order that is reversed every round, so that other load on
the machine falls on all alike. Needs the standard library alone: a contender may live in any Python.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
Turn = list[float]


class Contestant:
    """The process `python -m MODULE ARGUMENTS`, which calls `serve`; `report` is what it said once it had started."""

    def __init__(self, module: str, arguments: Sequence[str], python: str):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `stop`)
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.report = self._read()

    def turn(self, *told: Any) -> Any:
        """What the process answers, or {"absent": reason} if it ended."""
        assert self._process.stdin
        print(json.dumps(told), file=self._process.stdin, flush=True)
        return self._read()

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._errors.close()

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
        return {"absent": f"the process ended with code {self._process.wait()}: {last}"}


def race(
    makers: Mapping[str, Callable[[], Contestant]], rounds: int, told: Callable[[int], Sequence[Any]]
) -> tuple[dict[str, Any], dict[str, list[Turn]], dict[str, str]]:
    """(reports, [wall, CPU] seconds of a call in each round, reasons of those that are absent), by name.

    Those that take part to the end are in all of the first two, in the order of `makers`. told: what all are told in a
    round.
    """
    running, reports, absent = {}, {}, {}
    for name, make in makers.items():
        process = make()
        if "absent" in process.report:
            absent[name] = process.report["absent"]
            process.stop()
        else:
            running[name], reports[name] = process, process.report
        print(f"  {name}: {absent.get(name, 'ready')}", file=sys.stderr, flush=True)
    took: dict[str, list[Turn]] = {name: [] for name in running}
    for r in range(rounds):
        for name in list(running) if r % 2 == 0 else list(reversed(running)):
            answer = running[name].turn(*told(r))
            if isinstance(answer, list):
                took[name].append(answer)
            else:
                absent[name] = f"in round {r + 1}: {answer['absent']}"
                running.pop(name).stop()
        print(f"  round {r + 1} of {rounds}", file=sys.stderr, flush=True)
    for process in running.values():
        process.stop()
    return {name: reports[name] for name in running}, {name: took[name] for name in running}, absent


def ratios(other: str, rows: list[Turn], base: list[Turn] | None) -> dict[str, float]:
    """{times_OTHER_wall, times_OTHER_cpu}; nothing if the base is absent."""
    if base is None:
        return {}
    pairs = list(zip(rows, base, strict=True))
    return {
        f"times_{other}_{kind}": statistics.median(ours[i] / theirs[i] for ours, theirs in pairs)
        for i, kind in enumerate(("wall", "cpu"))
    }


def serve(start: Callable[[], tuple[Callable[..., Turn], dict[str, Any]]]) -> None:
    """The other side, in the process: says a line of JSON each time, first its report or why there is none, then for
    every line of JSON that it is told, `[...]`, what `turn(*...)` returns.

    Args:
      start: gives (turn, report).
    """
    # What libraries print must not get between the lines.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message: Any) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        turn, report = start()
    except Exception as error:  # whatever stops a contender is a row of the result
        say({"absent": f"{type(error).__name__}: {error}"})
        return
    say(report)
    for line in sys.stdin:
        say(turn(*json.loads(line)))
