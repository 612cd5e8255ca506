"""Many runs in one table: what is one line, in which order, under which name, and what is left out."""

import json
import subprocess
import sys

import pytest
from helpers.run_folders import write_run, write_runs
from helpers.settings import ROOT

from jaxaug.analysis.aggregate import REPEATED, UNREADABLE, aggregate
from jaxaug.core.errors import UsageError


@pytest.fixture
def runs(tmp_path):
    return write_runs(tmp_path)


def test_groups_and_their_order(runs):
    """What differs in seeds is one group, 10 and 10.0 are one number; noise, then imbalance, then AutoDO's methods."""
    found = aggregate([runs / "b", runs, runs / "a"])
    assert [(group.distortion, group.method, len(group.runs)) for group in found.groups] == [
        ("100-0.0", "clean", 1),
        ("10-0.3", "plain", 1),
        ("10-0.3", "SHA", 1),
        ("10-0.3", "SEP_SOFT", 1),
        ("10-0.3", "compat_SEP_SOFT", 1),
        ("10-0.3", "SEP_BOTH", 3),
        ("10-0.3", "mine", 1),
        ("10-0.3", "train_and_validation", 1),
        ("10-0.3", "validation_only", 1),
    ]
    assert [run.seeds for run in found.groups[5].runs] == [(0, 0), (1, 0), (2, 5)]
    assert found.left_out == {"not complete": (runs / "a" / "plain" / "seed_1",)}
    assert not any(group.apart for group in found.groups)


def test_names_that_collide(tmp_path):
    """The fields that differ tell, those first that tell all apart; lists and missing fields have a word too."""
    rates = {"optim": {"name": "sgd", "learning_rate": 0.1, "milestones": [2, 4]}}
    write_run(tmp_path / "a" / "plain" / "seed_0")
    write_run(tmp_path / "b" / "plain" / "seed_0", changes={**rates, "epochs": 9, "label_issues": 3})
    write_run(tmp_path / "c" / "plain" / "seed_0", changes={**rates, "epochs": 10})
    write_run(tmp_path / "c" / "plain" / "seed_1", 1, changes={**rates, "epochs": 10})
    write_run(tmp_path / "c" / "other" / "seed_0")
    names = {group.name: len(group.runs) for group in aggregate([tmp_path]).groups}
    assert names == {
        "plain\n  epochs=8\n  optim.milestones=()\n  label_issues=-": 1,
        "plain\n  epochs=9\n  optim.milestones=2+4\n  label_issues=3": 1,
        "plain\n  epochs=10\n  optim.milestones=2+4\n  label_issues=-": 2,
        "other": 1,
    }
    many = {f"field_{i}": i for i in range(7)}
    write_run(tmp_path / "d" / "other" / "seed_0", changes=many)
    names = [group.name for group in aggregate([tmp_path]).groups]
    assert any(name.startswith("other") and name.endswith("\n  and 3 more") for name in names)


def test_fields_of_components(tmp_path):
    """Slots in a sequence by their names, a second one of a name by its number; the sequence itself in one word."""
    crop, flip = {"name": "pad_and_crop", "padding": 4}, {"name": "flip", "probability": 0.5}
    changes = {
        "loss": [{"name": "label_smoothing", "smoothing": 0.1}, {"name": "isda", "strength": 0.25}],
        "augment": {"train": [flip, crop, {**flip, "probability": 1}], "after": [], "size": 0},
        "optim": {"name": "sgd", "learning_rate": 0.1, "schedule": {"name": "cosine", "warmup": 5}},
        "robustness": [{"name": "corruptions", "names": ["fog", "snow"]}, {"name": "occlusion"}],
        "search": {"name": "none"},
    }
    (group,) = aggregate([write_run(tmp_path, changes=changes)]).groups
    config = dict(group.runs[0].config)
    assert {field: config.pop(field) for field in ("seed", "epochs")} == {"seed": 0, "epochs": 8}
    assert {field: value for field, value in config.items() if not field.startswith("data.")} == {
        "loss": "label_smoothing+isda",
        "loss.label_smoothing.smoothing": 0.1,
        "loss.isda.strength": 0.25,
        "augment.train": "flip+pad_and_crop+flip",
        "augment.train.flip.probability": 0.5,
        "augment.train.pad_and_crop.padding": 4,
        "augment.train.2.probability": 1,
        "augment.after": [],
        "augment.size": 0,
        "optim.name": "sgd",
        "optim.learning_rate": 0.1,
        "optim.schedule.name": "cosine",
        "optim.schedule.warmup": 5,
        "robustness": "corruptions+occlusion",
        "robustness.corruptions.names": ["fog", "snow"],
        "search.name": "none",
    }


def test_another_component_is_told_without_its_options(tmp_path):
    """Those that only one of the components has follow from its name; those that both have do not."""
    smoothing, isda = {"name": "label_smoothing", "smoothing": 0.1}, {"name": "isda", "strength": 0.25, "order": 1}
    adam = {"name": "adam", "b1": 0.9, "learning_rate": 0.01, "milestones": []}
    for letter, changes in (
        ("a", {"loss": [isda]}),
        ("b", {"loss": [smoothing, {**isda, "strength": 1}]}),
        ("c", {"optim": adam}),
        ("d", {"loss": [{"name": "isda", "strength": 0.25}]}),  # from before there was an order
    ):
        write_run(tmp_path / letter / "plain" / "seed_0", changes=changes)
    names = {group.name for group in aggregate([tmp_path]).groups}
    fields = {field for group in aggregate([tmp_path]).groups for field in group.apart}
    assert fields == {"loss", "loss.isda.strength", "loss.isda.order", "optim.name", "optim.learning_rate"}
    assert len(names) == 4
    assert any("  loss=label_smoothing+isda\n" in name for name in names)
    assert any("  loss=()\n" in name for name in names)


def test_what_is_left_out(tmp_path):
    """Copies count once; what cannot be read is named; config.json of something else is not looked at."""
    write_run(tmp_path / "a" / "plain" / "seed_0")
    write_run(tmp_path / "copy" / "plain" / "seed_0")
    (write_run(tmp_path / "broken" / "seed_0") / "result.json").write_text("{")
    (write_run(tmp_path / "list" / "seed_0") / "result.json").write_text("[1]")
    write_run(tmp_path / "a" / "plain" / "seed_0" / "checkpoints" / "seed_0")
    for name, text in (("other", '{"hidden_size": 3}'), ("no_json", "//")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    found = aggregate([tmp_path])
    assert [len(group.runs) for group in found.groups] == [1]
    assert found.left_out == {
        REPEATED: (tmp_path / "copy" / "plain" / "seed_0",),
        UNREADABLE: (tmp_path / "broken" / "seed_0", tmp_path / "list" / "seed_0"),
    }


def test_a_run_by_itself_and_old_configs(tmp_path):
    """Without seed_<n> the folder's own name counts; configs from before the distortions are not distorted."""
    folder = write_run(tmp_path / "mine")
    (folder / "config.json").write_text(json.dumps({"seed": 0, "data": {"name": "digits"}}))
    (group,) = aggregate([folder]).groups
    assert (group.method, group.distortion, group.runs[0].seeds) == ("mine", "1-0.0", (0, 0))


@pytest.mark.parametrize(("noise", "expected"), [(0.25, "1-0.25"), (0.1, "1-0.1"), (0, "1-0.0")])
def test_distortion(tmp_path, noise, expected):
    write_run(tmp_path / "mine", noise=noise)
    assert aggregate([tmp_path]).groups[0].distortion == expected


def test_mistakes(tmp_path):
    write_run(tmp_path / "begun", complete=False)
    for folder, message in (
        (tmp_path / "none", "is not a folder"),
        (tmp_path, f"no complete run .* in {tmp_path}; runs there: 1 not complete, for example .*begun"),
        (tmp_path / "begun" / "..", "no complete run"),
    ):
        with pytest.raises(UsageError, match=message):
            aggregate([str(folder)])


def test_it_does_not_import_jax():
    """Nor what reads data or draws."""
    heavy = "'jax', 'numpy', 'matplotlib', 'ml_collections'"
    code = f"import sys, jaxaug.analysis.aggregate; found = {{{heavy}}} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_face_of_the_package():
    """The function, not its module; what draws is imported when it is asked for."""
    from jaxaug import analysis

    assert dir(analysis) == sorted(analysis.__all__)
    assert analysis.aggregate is aggregate
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = analysis.nothing
