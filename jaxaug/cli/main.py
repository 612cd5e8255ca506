"""After the training: one table of many runs, `python -m jaxaug results FOLDER ...`, and figures of what one run has
learned, `python -m jaxaug plots RUN_FOLDER`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jaxaug.analysis import results_table
from jaxaug.analysis.run_figures import draw_run
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import enable_compilation_cache


def main(arguments: Sequence[str]) -> int:
    """Run with the arguments of the command line: 0, or 2 after a mistake of the user's."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "results":
            results_table.show(chosen.folders, chosen.metric, chosen.csv, chosen.json)
        else:
            _plot(chosen.folder, chosen.out or chosen.folder, chosen.tsne_rows)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _plot(folder: str, out: str, tsne_rows: int) -> None:
    # A table of results should not wait for JAX.
    from absl import logging

    logging.set_verbosity(logging.WARNING)  # orbax reports every file it touches
    enable_compilation_cache()
    told = draw_run(folder, out, tsne_rows)
    print(f"drawn in {out}: {', '.join(name for name, why in told.items() if not why) or 'nothing'}")
    for name, why in told.items():
        if why:
            print(f"not drawn, {name}: {why}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m jaxaug", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="results | plots")
    table = commands.add_parser("results", help="one table of many runs", allow_abbrev=False)
    table.add_argument("folders", nargs="+", metavar="FOLDER", help="runs are looked for in it and below")
    table.add_argument("--metric", default="test_top1", help="a figure of result.json (default: test_top1)")
    table.add_argument("--csv", default="", metavar="FILE", help="write the table there too, unscaled")
    table.add_argument("--json", default="", metavar="FILE", help="the same with every run's figures")
    plots = commands.add_parser("plots", help="figures of one run", allow_abbrev=False)
    plots.add_argument("folder", metavar="RUN_FOLDER", help="the folder of one run, with its config.json")
    plots.add_argument("--out", default="", metavar="DIR", help="where to draw (default: the run's folder)")
    plots.add_argument("--tsne-rows", type=int, default=2000, help="test rows in tsne.png at most (default: 2000)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
