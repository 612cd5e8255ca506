"""Which files the figures of results go to."""

from jaxaug.train.figures import save_evaluation_figures

RELIABILITY = {"share": [0.5, 0.5], "accuracy": [0.4, 1.0], "confidence": [0.3, 0.6]}


def test_results_that_hold_one_of_two(tmp_path):
    save_evaluation_figures(tmp_path, {"new": [{"test_top1": 0.5, "reliability": RELIABILITY}], "old": [{}]})
    assert [path.name for path in tmp_path.iterdir()] == ["reliability.png"]
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_results_of_label_maps(tmp_path):
    save_evaluation_figures(tmp_path, {"new": [{"class_iou": {"car": 0.5, "tree": None}}]})
    assert [path.name for path in tmp_path.iterdir()] == ["class_iou.png"]


def test_results_of_an_older_version(tmp_path):
    """They hold neither bins nor curves, and nothing is drawn of them."""
    save_evaluation_figures(tmp_path, {"old": [{"test_top1": 0.5}]})
    assert not list(tmp_path.iterdir())
