"""Do the tests notice? Small random changes of the core maths, one at a time, and which unit tests see them.

    make mutate                                                     # 20 changes of each package: hours on two cores
    make mutate CHANGES=40 PACKAGES="losses bilevel"
    make mutate CHANGES=0                                           # every one there is: days

Cosmic Ray makes the changes, in a clone below the folder for temporary files, and runs the unit tests of the changed
module's package on each. The table tells the share that was noticed and every change that was not.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import random
import subprocess
import sys
import tempfile

from cosmic_ray import commands
from cosmic_ray.config import ConfigDict
from cosmic_ray.modules import find_modules
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

ROOT = pathlib.Path(__file__).resolve().parent.parent
# package -> (what is changed, which tests have to notice)
PACKAGES = {
    "losses": ("jaxaug/losses", "tests/unit/losses"),
    "bilevel": ("jaxaug/bilevel", "tests/unit/bilevel tests/unit/search"),
    "policies": ("jaxaug/policies", "tests/unit/policies"),
    "ops": ("jaxaug/ops", "tests/unit/ops"),
    "optim": ("jaxaug/optim", "tests/unit/optim"),
    "splits": ("jaxaug/data/splits.py", "tests/unit/data/test_splits.py tests/unit/data/test_corruption.py"),
}
# Annotations are full of "|", and a change of one is none.
ANNOTATIONS = "core/ReplaceBinaryOperator_BitOr"
DEFAULTS = "tests/unit/test_paper_defaults.py"  # what papers prescribe, of all packages
SECONDS = 600.0


def main() -> None:
    """Change, test, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=20, help="of each package; 0 for all that there are")
    parser.add_argument("--packages", nargs="*", default=list(PACKAGES), choices=list(PACKAGES))
    parser.add_argument("--seed", type=int, default=0, help="of the choice among all changes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = pathlib.Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        for package in chosen.packages:
            report(package, results(package, clone, chosen.changes, chosen.seed))


def results(package: str, clone: pathlib.Path, changes: int, seed: int) -> list[tuple[str, bool]]:
    """(the change, whether it was noticed) of each that was tried."""
    code, tests = PACKAGES[package]
    test = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests} {DEFAULTS}"
    config = ConfigDict(
        {
            "module-path": code,
            "timeout": SECONDS,
            "excluded-modules": [],
            "test-command": f"env PYTHONPATH={clone} {test}",
            "distributor": {"name": "local"},
        }
    )
    with use_db(str(clone.parent / f"{package}.sqlite"), WorkDB.Mode.create) as session, contextlib.chdir(clone):
        commands.init(find_modules([pathlib.Path(code)]), session, {})
        subprocess.run(config["test-command"].split(), check=True, stdout=subprocess.DEVNULL)
        keep_some(session, changes, seed)
        commands.execute(session, config)
        place = {item.job_id: item.mutations[0] for item in session.work_items}
        found = []
        for job, result in session.results:
            if result.worker_outcome == WorkerOutcome.SKIPPED:
                continue
            one = place[job]
            said = f"{one.module_path}:{one.start_pos[0]} {one.operator_name.removeprefix('core/')}"
            found.append((f"{said}\n{result.diff or ''}", result.test_outcome != TestOutcome.SURVIVED))
        return found


def keep_some(session: WorkDB, changes: int, seed: int) -> None:
    """All but a few changes are marked as passed over."""
    jobs = sorted(
        (item.job_id, item.mutations[0].operator_name.startswith(ANNOTATIONS)) for item in session.pending_work_items
    )
    real = [job for job, annotation in jobs if not annotation]
    # The numbers of jobs are random themselves; what a seed chooses is their order in the code.
    order = [item.job_id for item in session.work_items if item.job_id in set(real)]
    kept = set(random.Random(seed).sample(order, min(changes, len(order))) if changes else order)
    passed = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)
    session.set_multiple_results([job for job, _ in jobs if job not in kept], passed)


def report(package: str, found: list[tuple[str, bool]]) -> None:
    """The share that was noticed, and the others."""
    noticed = sum(seen for _, seen in found)
    print(f"{package}: {noticed} of {len(found)} changes were noticed", flush=True)
    for change, seen in found:
        if not seen:
            print(f"  not noticed: {change}", flush=True)


if __name__ == "__main__":
    main()
