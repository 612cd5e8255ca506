"""One table of many runs: mean and standard deviation over their seeds; then what `jaxaug evaluate` found of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jaxaug.cli.arguments import refuse

HELP = "one table of many runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Folders, the figure, files."""
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="runs are looked for in it and below")
    parser.add_argument("--metric", default="", help="a figure of result.json (default: test_top1, or what runs have)")
    parser.add_argument("--csv", default="", metavar="FILE", help="write the table there too, unscaled")
    parser.add_argument(
        "--json", default="", metavar="FILE", help="the same with every run's figures; - prints it instead"
    )


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Print the table."""
    from jaxaug.analysis import results_table

    refuse(others)
    results_table.show(chosen.folders, chosen.metric, chosen.csv, chosen.json)
