"""The examples of `jaxaug.bilevel` run as they stand in the documentation, and do what they say."""

import runpy

import numpy as np
from helpers.settings import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "bilevel_label_weights.py"


def test_wrong_labels_lose_their_weight(capsys):
    found = runpy.run_path(str(EXAMPLE))
    meta, wrong = np.asarray(found["meta"]), found["wrong"]
    assert np.mean((meta < 0) == wrong) > 0.85
    assert meta[wrong].mean() < -1 < 0.5 < meta[~wrong].mean()
    assert found["accuracy"] > 0.86
    first, *_, last = [
        float(line.split("loss ")[1].split(",")[0]) for line in capsys.readouterr().out.splitlines()[:-1]
    ]
    assert last < 0.5 * first


def test_an_example_is_at_most_40_lines():
    assert len(EXAMPLE.read_text().splitlines()) <= 40
