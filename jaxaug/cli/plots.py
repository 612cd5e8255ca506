"""Figures of what one run has learned, from its folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jaxaug.cli.arguments import add_output_arguments, refuse, speaking

HELP = "figures of one run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder, and where to draw."""
    parser.add_argument("folder", metavar="RUN_FOLDER", help="the folder of one run, with its config.json")
    parser.add_argument("--out", default="", metavar="DIR", help="where to draw (default: the run's folder)")
    parser.add_argument("--tsne-rows", type=int, default=2000, help="test rows in tsne.png at most (default: 2000)")
    add_output_arguments(parser)


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Draw what there is, and say why the rest is not drawn."""
    from absl import logging

    from jaxaug.analysis.run_figures import draw_run
    from jaxaug.core.sharding import enable_compilation_cache

    refuse(others)
    logging.set_verbosity(logging.WARNING)  # orbax reports every file it touches
    enable_compilation_cache()
    out = chosen.out or chosen.folder
    with speaking(chosen):
        told = draw_run(chosen.folder, out, chosen.tsne_rows)
        print(f"drawn in {out}: {', '.join(name for name, why in told.items() if not why) or 'nothing'}")
        for name, why in told.items():
            if why:
                print(f"not drawn, {name}: {why}")
