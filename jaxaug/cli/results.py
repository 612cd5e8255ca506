"""One table of many runs: mean and standard deviation over their seeds; then what `jaxaug evaluate` found of them.

jaxaug results runs --format=markdown              # or csv, latex (with booktabs), json; text is for the terminal
jaxaug results runs --out=table.tex                # the file's ending says the format: .md .csv .tex .json .txt
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jaxaug.cli.arguments import add_output_arguments, refuse, speaking

HELP = "one table of many runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Folders, the figure, the format."""
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="runs are looked for in it and below")
    parser.add_argument("--metric", default="", help="a figure of result.json (default: test_top1, or what runs have)")
    parser.add_argument("--format", default="", help="text (the default), markdown, csv, latex or json")
    parser.add_argument("--out", default="", metavar="FILE", help="write the table there instead of printing it")
    add_output_arguments(parser, "the table, with every run's figures,")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Print or write the table."""
    from jaxaug.analysis import results_table

    refuse(others)
    style = "json" if chosen.json else chosen.format
    if chosen.out:
        with speaking(chosen):
            results_table.show(chosen.folders, chosen.metric, style, chosen.out)
            print(f"the table is in {chosen.out}")
    else:
        results_table.show(chosen.folders, chosen.metric, style, quiet=chosen.quiet)
