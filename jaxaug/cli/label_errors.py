"""List the labels that are probably wrong: `jaxaug label-errors photos/ --out=found`.

PATH is a folder of images, photos/<class>/<image>, or with such folders in train, validation and test; a .csv with the
columns `file` and `label`; an .npz as the data set "npz" takes it; or the name of a data set, with options
--data.<option>=<value>. Every row is judged by what is trained on all of them; no label need be trusted (`--trusted`
tells those that are). `--out` gets label_errors.csv, .png, .json and .html, a page to click through that gives a
corrected.csv for `data.labels`; and for a training without a look, without_suspects.csv for `data.labels`, learned.npz
for the search "learned".
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxaug.cli.arguments import add_output_arguments, print_json, settings_of, speaking
from jaxaug.core.errors import UsageError

if TYPE_CHECKING:
    from jaxaug.label_errors.reading import Rows
    from jaxaug.label_errors.scores import LabelIssues

HELP = "list the labels of a set of images that are probably wrong"
SETTING = "--data."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the rows are, what they are labelled, how long to train."""
    parser.add_argument("path", help="a folder, a .csv, an .npz, or the name of a data set")
    parser.add_argument("--out", default="label_errors", help="the folder to write to (default: label_errors)")
    parser.add_argument("--labels", default="", metavar="FILE", help=".csv or .npy of labels to judge in their place")
    parser.add_argument(
        "--trusted",
        default="",
        metavar="SPLIT|FILE",
        help="rows whose labels are right, which are learned from and not judged: a split, or a .csv of rows",
    )
    parser.add_argument("--size", type=int, default=0, help="side of the images (default: their own, at most 64)")
    parser.add_argument(
        "--epochs", type=int, help="of training (default: 36, 8 to 36 for more than 10,000 rows); 0: no network, quick"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument(
        "--shown", type=int, default=0, help="rows of the page (default: as many as are wrong by estimate)"
    )
    parser.add_argument(
        "--drop", type=int, help="rows that without_suspects.csv drops (default: as many as are wrong by estimate)"
    )
    add_output_arguments(parser, "label_errors.json, and where it is,")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Read, train, write."""
    from jaxaug.core.sharding import enable_compilation_cache
    from jaxaug.label_errors.cleaning import WITHOUT_SUSPECTS
    from jaxaug.label_errors.listing import PAGE, write_listing
    from jaxaug.label_errors.reading import with_labels
    from jaxaug.label_errors.trusted import apart, with_trusted
    from jaxaug.train.label_errors import find_in_rows

    if min(chosen.size, chosen.shown, chosen.drop or 0, chosen.seed, chosen.epochs or 0) < 0:
        raise UsageError("--size, --shown, --drop, --epochs and --seed must be 0 or more")
    out = pathlib.Path(chosen.out)
    _check_out(out, pathlib.Path(chosen.path).expanduser())
    enable_compilation_cache()
    rows = _rows(chosen.path, chosen.size, _settings(others))
    if chosen.labels:
        rows = with_labels(rows, chosen.labels)
    trusted = None
    if chosen.trusted:
        rows, trusted = apart(rows, chosen.trusted)
    if (chosen.drop or 0) >= len(rows.label):
        raise UsageError(f"--drop={chosen.drop} must be less than the {len(rows.label)} rows")
    with speaking(chosen) as stdout:
        for file, why in rows.skipped[:5]:
            print(f"skipped {file}: {why}")
        told = "" if trusted is None else f", beside {len(trusted.label)} trusted ones"
        print(f"{len(rows.label)} rows of {len(rows.class_names)} classes, {len(rows.skipped)} skipped{told}")
        issues = find_in_rows(rows, chosen.epochs, chosen.seed, trusted)
        # With options the labels or the rows may be others than a training without them would find.
        whole = bool(chosen.labels or chosen.trusted or others)
        summary = write_listing(out, rows, issues, chosen.shown, trusted, whole=whole)
        print("about {estimated_errors} of {rows} labels are wrong by estimate: look at".format(**summary), out / PAGE)
        everything = (rows, issues) if trusted is None else with_trusted(rows, issues, trusted)
        dropped = _for_a_new_training(out, *everything, chosen.drop)
        if dropped:
            print(
                f"or train without the {dropped} most suspicious, --config.data.labels={out / WITHOUT_SUSPECTS}, or "
                f"with weights, --config.search=learned --config.search.run={out} --config.loss=learned_weights"
            )
        if chosen.json:
            print_json({"out": str(out), **summary}, stdout)


def _check_out(out: pathlib.Path, read: pathlib.Path) -> None:
    from jaxaug.label_errors.reading import SPLITS

    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: {out} is a file; name a folder")
    flat = read.is_dir() and not any((read / name).is_dir() for name in SPLITS)
    if flat and out.resolve().is_relative_to(read.resolve()):
        raise UsageError(f"--out: {out} lies in {read}, where it would be taken for a class: name a folder outside")


def _for_a_new_training(out: pathlib.Path, rows: Rows, issues: LabelIssues, drop: int | None) -> int:
    """Write `without_suspects.csv` and `learned.npz`; how many rows the former drops."""
    import numpy as np

    from jaxaug.core.atomic_io import write_npz, write_text
    from jaxaug.label_errors.cleaning import WITHOUT_SUSPECTS, learned_from_scores, without_suspects
    from jaxaug.search.learned import FILE, learned_arrays

    # By an estimate that takes every row for wrong nothing would be left.
    drop = min(issues.errors, len(rows.label) - 1) if drop is None else drop
    write_text(out / WITHOUT_SUSPECTS, without_suspects(rows, issues, drop))
    learned = learned_from_scores(rows.label, issues, len(rows.class_names))
    numbers = np.arange(len(rows.label)) if rows.index is None else rows.index
    write_npz(out / FILE, learned_arrays(learned, numbers if rows.files is None else np.array(rows.files)))
    return drop


def _rows(path: str, size: int, options: dict[str, Any]) -> Rows:
    from jaxaug import data
    from jaxaug.core.numpy_files import open_npz
    from jaxaug.label_errors.reading import read_rows, rows_of

    file = pathlib.Path(path).expanduser()
    folder = file.exists() and file.suffix != ".npz"
    if size and not folder:
        raise UsageError("--size goes with a folder or a .csv; a data set may have an option of its own, --data.size")
    if file.suffix == ".npz" and file.is_file():
        if "path" in options:
            raise UsageError(f"--data.path goes with the name of a data set, {path} is a file")
        with open_npz(file) as arrays:
            alone = not ({"test_label", "validation_label"} & set(arrays.files) or options.get("validation_size"))
        # A set must have rows to report on: one is cut off, and judged with the others all the same.
        found = rows_of(data.load("npz", **{**options, "path": str(file), **({"validation_size": 1} if alone else {})}))
        return dataclasses.replace(found, split_names=None) if alone else found
    if file.exists():
        if options:
            name = "folder" if file.is_dir() else "table"
            raise UsageError(
                f"options of data sets go with the name of one, {path} is a file or folder: {name} {SETTING}path={path}"
            )
        return read_rows(file, size)
    if path not in data.list():
        raise UsageError(f"there is no {path}, nor a data set of that name: {', '.join(data.list())}")
    return rows_of(data.load(path, **options))


def _settings(others: Sequence[str]) -> dict[str, Any]:
    found = {}
    for name, value in settings_of(others, SETTING, f"{SETTING}noise=0.1"):
        try:
            found[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            found[name] = value
    return found
