"""The list of probably wrong labels of a set of rows: table, sheet of pictures, summary, page to click through."""

from __future__ import annotations

import csv
import hashlib
import importlib.resources
import io
import json
import pathlib
from typing import Any

import numpy as np

from jaxaug.core.atomic_io import write_text
from jaxaug.data.label_files import OTHERS
from jaxaug.label_errors.odd import duplicates, odd_images
from jaxaug.label_errors.outliers import UNLIKE
from jaxaug.label_errors.reading import Rows
from jaxaug.label_errors.scores import LabelIssues, precision
from jaxaug.label_errors.sheet import caption, picture_sheet
from jaxaug.viz.page import embedded_json, is_small, picture_address, style

TABLE, SHEET, SUMMARY, PAGE = "label_errors.csv", "label_errors.png", "label_errors.json", "label_errors.html"
ON_SHEET, DOTS = 64, 120  # pictures, and dots per inch
MOST_PAIRS = 1000  # of duplicates with other labels, and as many with the same


def write_listing(
    folder: pathlib.Path,
    rows: Rows,
    issues: LabelIssues,
    shown: int = 0,
    trusted: Rows | None = None,
    *,
    whole: bool = False,
) -> dict[str, Any]:
    """Write `label_errors.csv` (all rows), `.png` (the first 64), `.json` (figures) and `.html` (those to look at).

    Args:
      folder: made if it is not there.
      rows: the images and their labels.
      issues: what `find` says of them.
      shown: how many of the page; 0: as many as are wrong by estimate, 50 at least and 2,000 at most.
      trusted: rows beside these whose labels are right.
      whole: whether the page's table tells every row and drops all others, since the labels that were judged, or the
        rows, are not those of the data set; trusted rows are told in any case.

    Returns:
      What `label_errors.json` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    odd, pairs = _odd(rows, issues), duplicates(rows.image)
    shown = min(shown or min(max(issues.errors, 50), 2000), len(rows.label))
    write_text(folder / TABLE, _table(rows, issues, odd))
    first = issues.ranking[: min(ON_SHEET, shown)]
    captions = [caption(rows.class_names, rows.label[row], issues.suggested[row]) for row in first]
    picture_sheet(rows.image[first], captions).savefig(folder / SHEET, dpi=DOTS)
    summary = _summary(rows, issues, odd, pairs)
    write_text(folder / SUMMARY, json.dumps(summary, indent=1) + "\n")
    write_text(folder / PAGE, _page(rows, issues, odd, summary, shown, _others(rows, issues, shown, trusted, whole)))
    return summary


def _odd(rows: Rows, issues: LabelIssues) -> dict[int, str]:
    """row -> what is odd about it."""
    found = odd_images(rows.image, rows.sides)
    for row in np.flatnonzero(issues.unlike > UNLIKE).tolist() if issues.unlike is not None else ():
        found[row] = ", ".join(filter(None, (found.get(row), "unlike the others")))
    return found


def _table(rows: Rows, issues: LabelIssues, odd: dict[int, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    titles = ["rank", rows.key_column, "given", "suggested", "score", "odd"]
    known = {"unlike": issues.unlike is not None, "clean": rows.clean is not None}
    writer.writerow([*titles, *(name for name, there in known.items() if there)])
    for rank, row in enumerate(issues.ranking, start=1):
        names = (rows.class_names[rows.label[row]], rows.class_names[issues.suggested[row]])
        cells = [rank, rows.key(row), *names, f"{issues.score[row]:.6g}", odd.get(int(row), "")]
        unlike = [] if issues.unlike is None else [f"{issues.unlike[row]:.2f}"]
        writer.writerow([*cells, *unlike, *([] if rows.clean is None else [rows.class_names[rows.clean[row]]])])
    return text.getvalue()


def _summary(rows: Rows, issues: LabelIssues, odd: dict[int, str], pairs: np.ndarray) -> dict[str, Any]:
    apart = rows.label[pairs[:, 0]] != rows.label[pairs[:, 1]]
    told = [
        [
            {"rows": [rows.key(row) for row in pair], "labels": [rows.class_names[rows.label[row]] for row in pair]}
            for pair in some[:MOST_PAIRS]
        ]
        for some in (pairs[apart], pairs[~apart])
    ]
    table = {title: np.round(column, 4).tolist() for title, column in issues.classes.items()}
    table["most_often"] = [rows.class_names[number] for number in issues.classes["most_often"]]
    wrong = None if rows.clean is None else rows.clean != rows.label
    return {
        "rows": len(rows.label),
        "estimated_errors": issues.errors,
        "classes": {"name": list(rows.class_names), **table},
        "joint": np.round(issues.joint, 6).tolist(),
        "odd": {rows.key(row): what for row, what in odd.items()},
        "duplicates_found": {"with_other_labels": int(apart.sum()), "with_the_same": int((~apart).sum())},
        "duplicates_with_other_labels": told[0],
        "duplicates": told[1],
        "skipped": dict(rows.skipped),
        **({} if wrong is None else {"known": precision(issues.ranking, wrong, max(issues.errors, 1))}),
    }


def _others(rows: Rows, issues: LabelIssues, shown: int, trusted: Rows | None, whole: bool) -> str:
    """The lines of the page's table that are about no card."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in issues.ranking[shown:] if whole else ():
        writer.writerow([rows.key(row), rows.class_names[rows.label[row]], ""])
    if trusted is not None:
        for row, label in enumerate(trusted.label.tolist()):
            writer.writerow([trusted.key(row), trusted.class_names[label], "right"])
    if whole:
        writer.writerow([OTHERS, "", ""])
    return text.getvalue()


def _page(
    rows: Rows, issues: LabelIssues, odd: dict[int, str], summary: dict[str, Any], count: int, others: str
) -> str:
    shown = issues.ranking[:count]
    columns = summary["classes"]
    titles = ["class", "labelled so", "of them wrong", "missing", "share wrong", "wrong ones most often are"]
    about = (
        f"{len(rows.label)} images, about {issues.errors} labels are wrong by estimate, {len(shown)} are shown. Mark "
        f"what you see and download the corrected labels; unmarked rows keep theirs. {len(rows.skipped)} were skipped."
    )
    pairs = summary["duplicates_with_other_labels"]
    data = {
        "id": hashlib.sha256("".join(rows.key(row) for row in shown).encode()).hexdigest()[:12],
        "about": about,
        "column": rows.key_column,
        "others": others,
        "names": list(rows.class_names),
        "classes": [titles, *zip(*columns.values(), strict=True)],
        "odd": [f"{key}: {what}" for key, what in summary["odd"].items()]
        + [f"alike with other labels: {' and '.join(pair['rows'])} ({', '.join(pair['labels'])})" for pair in pairs]
        + [f"skipped: {file}: {why}" for file, why in rows.skipped],
        "rows": [_card(rows, issues, odd, int(row)) for row in shown],
    }
    template = importlib.resources.files("jaxaug.label_errors").joinpath("page.html").read_text()
    return template.replace("__STYLE__", style()).replace("__DATA__", embedded_json(data))


def _card(rows: Rows, issues: LabelIssues, odd: dict[int, str], row: int) -> dict[str, Any]:
    picture = rows.picture(row)
    return {
        "key": rows.key(row),
        "given": int(rows.label[row]),
        "suggested": int(issues.suggested[row]),
        "score": round(float(issues.score[row]), 4),
        "note": odd.get(row, ""),
        "small": is_small(picture.size),
        "image": picture_address(picture),
    }
