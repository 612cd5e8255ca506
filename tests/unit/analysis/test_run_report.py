"""The page of a run: what it shows of finished, interrupted, searched and segmented ones, and of a sweep."""

import json
import re
import shutil
import types

import numpy as np
import pytest
from helpers.browser import chromium, layout_of, opened
from helpers.pixel_run import train_pixels
from helpers.weighted_run import train_weights

from jaxaug import policies
from jaxaug.analysis import run_report
from jaxaug.analysis.report_sections import SECTIONS, _most_confused
from jaxaug.analysis.reported_run import ReportedRun
from jaxaug.analysis.run_report import PAGE, write_report
from jaxaug.cli import main as command
from jaxaug.core.errors import UsageError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "weighted" / "seed_0"
    return folder, train_weights(folder)[1]


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """Its page."""
    return write_report(finished[0], tmp_path_factory.mktemp("page") / PAGE)


def titles_of(text, level=2):
    return re.findall(rf"<h{level}[^>]*>(.*?)</h{level}>", text)


def missing_of(text):
    """The sections at the page's end that are not shown, with the reasons."""
    return dict(line.split(": ", 1) for line in re.findall(r"<li>(.*?)</li>", text.partition("Not shown (")[2]))


def test_a_run_with_a_search(finished, report):
    """Everything but what it lacks; the network is judged as the run's own evaluation has judged it."""
    (folder, result), text = finished, report.read_text()
    shown = [title for title in SECTIONS if title not in ("Robustness", "Classes", "Policy", "Augmentation")]
    assert titles_of(text) == shown
    assert set(missing_of(text)) == {"Robustness", "Classes", "Policy", "Augmentation"}
    assert missing_of(text)["Augmentation"] == "its images are not augmented"
    assert f"<td>{100 * result['test_top1']:.2f}</td>" in text
    run = ReportedRun(folder)
    right = np.mean(run.judged["says"] == run.judged["given"])
    assert right == pytest.approx(result["test_top1"])
    assert f"{round(450 * (1 - right))} of 450 test rows are wrong" in text
    assert text.count("training row ") == 2 * 12, "the rows of least weight, in the picture's words and below it"
    changed = dict(re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td></tr>", text.partition('id="configuration"')[2]))
    assert changed["loss"] == "&quot;learned_targets+learned_weights&quot;"
    assert (changed["data.noise"], changed["model.name"]) == ("0.5", "&quot;linear&quot;")
    assert not {"data.imbalance", "loss.learned_targets.smoothing", "optim.momentum"} & set(changed), "as by default"
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text), "nothing is fetched"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.mark.parametrize("width", [1200, 400])
def test_it_is_seen_in_chromium(browser, width, report):
    """Every picture shows, nothing is wider than the window, links lead to their headings, folded parts open."""
    with opened(browser, report, width) as page:
        assert layout_of(page) == {"lost": [], "wider": 0}
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert layout_of(page)["wider"] == 0
        links = page.eval_on_selector_all("nav a", "found => found.map((one) => [one.textContent, one.hash.slice(1)])")
        assert [text for text, _ in links] == page.eval_on_selector_all(
            "h2", "all => all.map((one) => one.textContent)"
        )
        text, anchor = links[-1]
        page.click(f"nav a >> text={text}")
        assert page.evaluate(f"document.getElementById('{anchor}').getBoundingClientRect().top < innerHeight")
        sizes = page.eval_on_selector_all(".card img", "all => all.map((one) => [one.clientWidth, one.clientHeight])")
        assert len(sizes) >= 12
        assert all(wide > 100 and high > 100 for wide, high in sizes)


def interrupted(finished, folder):
    """A copy of the run as it was after its first epoch, with nothing that only a complete one has."""
    shutil.copytree(finished[0], folder)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text(lines[0] + "\n")
    for name in ("result.json", "per_example.npz", "learned.npz"):
        (folder / name).unlink()
    return folder


def test_an_interrupted_run(finished, tmp_path):
    """Its figures are of the newest epoch and checkpoint, and it says that it is not complete."""
    folder = interrupted(finished, tmp_path / "weighted" / "seed_0")
    text = write_report(folder).read_text()
    assert "not complete: evaluated until epoch 1 of 2." in text
    assert "test set, epoch 1 of 2 unless said" in text
    assert {"Metrics", "Curves", "Calibration", "Confusion", "Most wrong"} <= set(titles_of(text))
    run = ReportedRun(folder)
    shares = np.array(run.diagrams["reliability"]["share"])
    assert shares.sum() == pytest.approx(1)
    for name, expected in ReportedRun(finished[0]).result["reliability"].items():
        assert run.diagrams["reliability"][name] == pytest.approx(expected, abs=1e-6)
    shutil.rmtree(folder / "checkpoints")
    (folder / "metrics.jsonl").unlink()
    text = write_report(folder).read_text()
    assert "no epoch of 2 has been evaluated yet" in text
    assert titles_of(text) == ["Learned", "Environment", "Configuration"]
    assert "has no checkpoint yet" in missing_of(text)["Most wrong"]


@pytest.fixture
def only(monkeypatch):
    """Called with titles: only these sections are made, which saves drawing the others again."""

    def choose(*titles):
        monkeypatch.setattr(run_report, "SECTIONS", {title: SECTIONS[title] for title in titles})

    return choose


def test_the_command(finished, tmp_path, only, capsys):
    only("Environment")
    assert command.main(["report", str(finished[0]), f"--out={tmp_path / PAGE}", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"report": str(tmp_path / PAGE)}
    assert printed.err == f"report: {tmp_path / PAGE}\n"
    assert titles_of((tmp_path / PAGE).read_text()) == ["Environment"]


def test_a_searched_policy(finished, tmp_path, only):
    only("Policy")
    folder = interrupted(finished, tmp_path / "run")
    policies.randaugment(num_layers=1, magnitude=3).save(folder / "policy.json")
    (folder / "policy.md").write_text("# The policy of <b>\n")
    text = write_report(folder).read_text()
    assert "Policy" in titles_of(text)
    assert "# The policy of &lt;b&gt;" in text


def test_a_sweep(finished, tmp_path, only):
    """All runs in one table, also those that are not complete; of each variant one in full."""
    only("Metrics", "Environment")
    shutil.copytree(finished[0], tmp_path / "weighted" / "seed_0")
    assert "<h1>digits, linear: weighted, seed 0</h1>" in write_report(tmp_path).read_text(), "one run is its own page"
    for variant, seed in (("weighted", 1), ("other", 0)):
        folder = interrupted(finished, tmp_path / variant / f"seed_{seed}")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "seed": seed}))
    shutil.copytree(finished[0], tmp_path / "replaced" / "seed_0")
    (tmp_path / "weighted" / "seed_0" / "evaluations").mkdir()
    later = {"name": "hidden", "rows": 450, "occlusion_error": 0.125}
    (tmp_path / "weighted" / "seed_0" / "evaluations" / "hidden.json").write_text(json.dumps(later))
    text = write_report(tmp_path).read_text()
    assert titles_of(text, 4) == ["Evaluated later"]
    assert "<td>hidden</td><td>1</td><td>450</td><td>12.50</td>" in text
    assert "weighted (n=2)" in text
    assert "other (n=1)" in text
    assert titles_of(text) == ["All runs", "other, seed 0", "weighted, seed 0"]
    assert titles_of(text, 3).count("Environment") == 2
    assert "Not complete, counted as far as they are: other, seed 0, weighted, seed 1." in text
    anchors = re.findall(r'id="([^"]+)"', text)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(anchors)


def test_label_maps(tmp_path, only):
    only("Calibration", "Classes", "Confusion", "Most wrong", "Augmentation")
    text = write_report(train_pixels(tmp_path)).read_text()
    assert {"Classes", "Confusion"} <= set(titles_of(text))
    assert "images, labels and predictions" in text
    assert {"Calibration", "Most wrong"} <= set(missing_of(text))


def test_many_classes_have_no_matrix():
    """Of 50 classes the pairs are told alone; rows without a label count nowhere."""
    names = tuple(f"class {k}" for k in range(50))
    judged = {"given": np.array([7, 7, 7, 3, -1]), "says": np.array([9, 9, 7, 3, 3])}
    experiment = types.SimpleNamespace(data=types.SimpleNamespace(class_names=names))
    (text,) = SECTIONS["Confusion"](types.SimpleNamespace(experiment=experiment, judged=judged, has_maps=False))
    assert "<img" not in text
    assert re.findall("<td>(.*?)</td>", text) == ["class 7 → class 9", "2", "66.7%"]


def test_most_confused_pairs():
    counts = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]])
    text = _most_confused(counts, ("ape", "bat", "cat"), "rows")
    assert re.findall("<td>(.*?)</td>", text) == ["bat → cat", "5", "50.0%", "ape → bat", "2", "20.0%"]
    assert _most_confused(np.eye(3, dtype=int), ("ape", "bat", "cat"), "rows") == ""


def test_mistakes(finished, tmp_path, only):
    only("Environment")
    with pytest.raises(UsageError, match="neither the folder of a run, nor one with runs"):
        write_report(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(interrupted(finished, tmp_path / "run"), tmp_path / "none" / PAGE)
