"""Figures of what one run has learned, from its folder; or of what a config does to images, before any training.

jaxaug plots RUN                                   # curves, confusion, weights, soft labels, t-SNE ...
jaxaug plots --isda RUN                            # along which directions ISDA augments the features of each class
jaxaug plots --config=configs/isda_cifar.py        # rows of images after each transform, with their targets
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence

from jaxaug.cli.arguments import add_output_arguments, print_json, refuse, speaking
from jaxaug.core.errors import UsageError

HELP = "figures of one run, or of a config's augmentation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder or a config, and where to draw. Beside a config, settings: --config.<path>=<value>."""
    parser.add_argument("folder", metavar="RUN", nargs="?", default="", help="the folder of one run, or one above it")
    parser.add_argument("--config", default="", metavar="FILE[:WORD]", help="a config whose augmentation is drawn")
    parser.add_argument("--out", default="", metavar="DIR", help="where to draw (default: the run's folder, or here)")
    parser.add_argument("--tsne-rows", type=int, default=2000, help="test rows in tsne.png at most (default: 2000)")
    parser.add_argument("--rows", type=int, default=8, help="images of a config's augmentation (default: 8)")
    parser.add_argument("--isda", action="store_true", help="draw in which directions the features of classes vary")
    isda = parser.add_argument_group("with --isda")
    isda.add_argument("--classes", default="", metavar="A,B", help="names or numbers (default: five of them, evenly)")
    isda.add_argument("--directions", type=int, default=2, help="of each class (default: 2)")
    isda.add_argument("--isda-rows", type=int, default=5000, help="of each split that are looked at (default: 5000)")
    isda.add_argument(
        "--inversion-steps", type=int, default=200, help="of each image that is inverted, 0 for none (default: 200)"
    )
    add_output_arguments(parser, "the names of the figures, and why others are not drawn,")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Draw what there is, and say why the rest is not drawn."""
    from absl import logging

    from jaxaug.core.sharding import enable_compilation_cache
    from jaxaug.runs.choice import run_in

    if bool(chosen.folder) == bool(chosen.config):
        raise UsageError("name the folder of a run, or a config with --config=FILE")
    logging.set_verbosity(logging.WARNING)  # orbax reports every file it touches
    enable_compilation_cache()
    if chosen.folder:
        chosen.folder = str(run_in(pathlib.Path(chosen.folder)))
    out = chosen.out or chosen.folder or "."
    with speaking(chosen) as stdout:
        told = _of_config(chosen, others, out) if chosen.config else _of_run(chosen, others, out)
        print(f"drawn in {out}: {', '.join(name for name, why in told.items() if not why) or 'nothing'}")
        for name, why in told.items():
            if why:
                print(f"not drawn, {name}: {why}")
        if chosen.json:
            drawn = [name for name, why in told.items() if not why]
            print_json({"out": out, "drawn": drawn, "not_drawn": {n: why for n, why in told.items() if why}}, stdout)


def _of_run(chosen: argparse.Namespace, others: Sequence[str], out: str) -> dict[str, str]:
    """The name of each figure with "" if it was drawn, else why not."""
    from jaxaug.analysis.run_figures import draw_run

    refuse(others)
    if chosen.isda:
        from jaxaug.analysis.isda_figures import Options, draw_isda

        classes = [name.strip() for name in chosen.classes.split(",") if name.strip()]
        options = Options(classes, chosen.directions, chosen.isda_rows, chosen.inversion_steps)
        return dict.fromkeys(draw_isda(chosen.folder, out, options), "")
    return draw_run(chosen.folder, out, chosen.tsne_rows)


def _of_config(chosen: argparse.Namespace, others: Sequence[str], out: str) -> dict[str, str]:
    """Likewise, a figure of each variant."""
    from jaxaug.analysis.pipeline_figure import draw_pipeline
    from jaxaug.cli.train import read_config
    from jaxaug.train.config import expand
    from jaxaug.train.experiment import build_experiment

    config = read_config(chosen.config, others)
    told = {}
    for variant, one in expand(config).items():
        figure = draw_pipeline(build_experiment(one), chosen.rows)
        name = f"pipeline_{variant}.png" if config.variants else "pipeline.png"
        try:
            pathlib.Path(out).mkdir(parents=True, exist_ok=True)
            figure.savefig(pathlib.Path(out) / name, dpi=120)
        except OSError as error:
            raise UsageError(f"cannot write {pathlib.Path(out) / name}: {error.strerror}") from None
        told[name] = ""
    return told
