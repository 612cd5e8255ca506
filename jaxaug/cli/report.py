"""A page of a run, or of all runs of a sweep, in one file to open in a browser: `jaxaug report RUN`.

It holds its figures, curves, calibration, confusion, the most wrong images, what was learned, how images are augmented,
the environment and the configuration. Of an interrupted run it shows what there is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jaxaug.cli.arguments import add_output_arguments, print_json, refuse, speaking

HELP = "a page of a run or a sweep, to open in a browser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder, and where to write."""
    parser.add_argument(
        "folder", metavar="RUN", help="the folder of a run, or of a sweep with <variant>/seed_<n> in it"
    )
    parser.add_argument("--out", default="", metavar="FILE", help="the page (default: report.html in the folder)")
    add_output_arguments(parser, "where the page is")


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Write the page."""
    from absl import logging

    from jaxaug.analysis.run_report import write_report
    from jaxaug.core.sharding import enable_compilation_cache

    refuse(others)
    logging.set_verbosity(logging.WARNING)  # orbax reports every file it touches
    enable_compilation_cache()
    with speaking(chosen) as stdout:
        file = write_report(chosen.folder, chosen.out)
        print(f"report: {file}")
        if chosen.json:
            print_json({"report": str(file)}, stdout)
