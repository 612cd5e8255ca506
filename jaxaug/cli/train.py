"""Train from a config: `jaxaug train --config=configs/isda_cifar.py --config.seeds=5`.

Every field of the config, and every option of every component that it names, can be set with --config.<path>=<value>;
`jaxaug options` lists them. The same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from ml_collections import ConfigDict

from jaxaug.cli.arguments import add_output_arguments, print_json, settings_of, speaking
from jaxaug.cli.next_steps import next_steps

HELP = "train from a config, or go on with a run"
SETTING = "--config."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside these, settings: --config.<path>=<value>."""
    parser.add_argument("--config", required=True, metavar="FILE[:WORD]", help="a file with get_config(), see configs/")
    parser.add_argument(
        "--workdir",
        default="",
        help="where the run is kept, a folder or gs://... (default: runs/<config>-<six letters of its settings>)",
    )
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--restart",
        action="store_true",
        help="start runs anew that cannot go on, for another config, other inputs or damage; what is there is kept in "
        "`replaced` beside them, and runs that can go on do so",
    )
    change.add_argument(
        "--accept_inputs",
        action="store_true",
        help="go on with runs whose inputs have changed, and return the results of finished ones",
    )
    parser.add_argument("--coordinator", default="", metavar="HOST:PORT", help="of process 0 of a multi-process run")
    parser.add_argument("--num_processes", type=int, default=0, help="how many processes the run has")
    parser.add_argument("--process_id", type=int, default=-1, help="which of them this is")
    parser.add_argument(
        "--heartbeat_seconds",
        type=int,
        default=30,
        help="of silence, after which a process is lost and the others stop",
    )
    parser.add_argument(
        "--noreport", dest="report", action="store_false", help="write no report.html, the page of all runs, at the end"
    )
    add_output_arguments(parser, "the results of each variant by seed")


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Train."""
    import jax
    from absl import logging

    from jaxaug.core.cluster import initialize_distributed, together
    from jaxaug.core.sharding import enable_compilation_cache, is_main_process
    from jaxaug.runs.fields import LAYOUT
    from jaxaug.runs.mirror import is_address, open_mirror, push
    from jaxaug.runs.workdir import fingerprint
    from jaxaug.train import sweep
    from jaxaug.train.config import complete

    logging.set_verbosity(logging.WARNING)  # orbax reports every file it touches
    enable_compilation_cache()
    config = read_config(chosen.config, others)
    initialize_distributed(
        chosen.coordinator, chosen.num_processes, chosen.process_id, heartbeat=chosen.heartbeat_seconds
    )
    name = pathlib.Path(chosen.config.partition(":")[0]).stem
    workdir = chosen.workdir or f"runs/{name}-{fingerprint(complete(config).to_dict(), LAYOUT)}"
    on_change = "restart" if chosen.restart else "accept" if chosen.accept_inputs else "refuse"
    with speaking(chosen) as stdout, together():
        if is_address(workdir):
            workdir = str(open_mirror(workdir, fetch=is_main_process()))
        results = sweep.run(config, workdir, on_change=on_change)
        if chosen.report and jax.process_count() == 1:
            _report(pathlib.Path(workdir))
        if is_main_process():
            push(pathlib.Path(workdir))
            print(next_steps(workdir, f"{workdir}/{list(results)[-1]}/seed_{config.seed}"))
    if chosen.json and is_main_process():
        print_json({"workdir": workdir, "results": results}, stdout)


def _report(workdir: pathlib.Path) -> None:
    """Write the page of a sweep's runs, unless it is there and newer than their results."""
    from jaxaug.analysis.run_report import PAGE, write_report
    from jaxaug.runs.workdir import RESULT

    times = [file.stat().st_mtime for file in workdir.glob(f"*/seed_*/{RESULT}")]
    page = workdir / PAGE
    if page.exists() and page.stat().st_mtime >= max(times, default=0.0):
        return
    try:
        print(f"report: {write_report(workdir)}")
    except Exception as error:  # the training is complete, whatever a component of one's own makes of its page
        print(f"no report: {error}")


def read_config(file: str, settings: Sequence[str]) -> ConfigDict:
    """The config of a file with settings such as "--config.epochs=3", a component before its options, else in order.

    Raises:
      UsageError: the file cannot be read, or a setting is none.
    """
    from jaxaug.train.config import apply_override
    from jaxaug.train.config_files import load_config_file

    working = str(pathlib.Path.cwd())
    if working not in sys.path:
        sys.path.insert(0, working)
    config = load_config_file(file)
    for path, value in settings_of(settings, SETTING):
        apply_override(config, path, value)
    return config
