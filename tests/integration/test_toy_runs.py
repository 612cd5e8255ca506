"""Every file of configs/ trained at toy size by the function that main.py calls; see `helpers.toy_configs` for how."""

import json
import math

import numpy as np
import pytest
from helpers.published_data import no_outside  # noqa: F401
from helpers.run_state import on_devices
from helpers.settings import ROOT, module_of
from helpers.toy_configs import EPOCHS, toy_config

from jaxaug import inference, policies
from jaxaug.core.registry import instantiate
from jaxaug.train import trainer

# Config, its words ("" for none) and the variant; the first of a config is its default. Further ones differ in kind:
# another task, loss, search or learned transform, other rates. What several configs have from one module, AutoDO's
# methods and those for few labels, is trained in one of them.
RUNS = [
    *[("autodo_cifar", "", variant) for variant in ("SEP_BOTH", "plain", "validation_only")],
    *[("autodo_cifar", "SHA+SEP_WGHT", variant) for variant in ("SHA", "SEP_WGHT")],
    ("autodo_cifar10n", "", "plain"),
    ("autodo_cifar10n", "BOTH", "BOTH"),
    ("autodo_digits", "", "SEP_BOTH"),
    ("autodo_fashion_mnist", "", "SEP_BOTH"),
    ("autodo_fashion_mnist", "DADA", "DADA"),
    ("autodo_imagenet", "", "SEP_BOTH"),
    ("autodo_mnist", "", "SEP_BOTH"),
    ("autodo_mnist", "compat_SEP_BOTH", "compat_SEP_BOTH"),
    ("autodo_svhn", "", "SEP_BOTH"),
    ("dada_digits", "", "convnet"),
    ("dada_digits", "policy.json", "learned"),
    ("deepaa_eval_cifar", "", "wide_resnet"),
    ("deepaa_eval_cifar", "cifar_1,batch8", "wide_resnet"),
    ("deepaa_eval_imagenet", "", "resnet"),
    ("deepaa_search_cifar", "", "wide_resnet"),
    ("deepaa_search_digits", "", "convnet"),
    ("deepaa_search_fashion_mnist", "", "convnet"),
    ("deepaa_search_imagenet", "", "resnet50"),
    *[("few_labels", "", variant) for variant in ("mean_teacher", "supervised", "fixmatch_isda")],
    ("few_labels", "fashion_mnist", "mean_teacher_isda"),
    *[("find_label_errors", word, "convnet") for word in ("", "folder", "npz")],
    ("finetune_folder", "", "resnet50"),
    ("finetune_folder", "resnet50,frozen", "resnet50"),
    ("finetune_folder", "vit_b_16", "vit_b_16"),
    ("four_methods_cifar", "", "all_together"),
    ("four_methods_cifar", "search", "convnet"),
    ("four_methods_cifar", "soft_augmentation", "soft_augmentation"),
    *[("isda_camvid", "", variant) for variant in ("isda", "cross_entropy")],
    ("isda_cifar", "", "wide_resnet"),
    ("isda_cifar", "shake_pyramidnet-272,cutout", "pyramidnet"),
    ("isda_cityscapes", "", "isda"),
    ("isda_cityscapes", "deeplab_v3,multi_scale", "isda"),
    *[("isda_digits", "", variant) for variant in ("isda", "cross_entropy")],
    ("isda_fashion_mnist", "", "isda"),
    ("isda_imagenet", "", "resnet50"),
    *[("isda_semi_cifar", "", variant) for variant in ("mean_teacher", "supervised")],
    *[("isda_semi_cifar", variant, variant) for variant in ("fixmatch", "temporal_ensembling")],
    ("isda_semi_cifar", "flexmatch", "flexmatch_isda"),
    ("isda_semi_svhn", "", "mean_teacher_isda"),
    *[("isda_semi_svhn", name, f"{name}_isda") for name in ("pi_model", "vat")],
    ("smoke", "", "convnet"),
    *[("softaug_cifar", word, "resnet") for word in ("", "baseline")],
    ("softaug_digits", "", "soft_crop"),
    ("softaug_fashion_mnist", "", "soft_crop"),
    ("softaug_imagenet", "", "resnet50"),
    *[("softaug_simsiam", word, "resnet") for word in ("", "resized", "linear", "finetune")],
    *[("softaug_simsiam", word, "soft_target") for word in ("small", "small_cifar")],
]
FILES = {
    "autodo": ("learned.npz",),
    "dada": ("learned.npz", "policy.json"),
    "deepaa": ("policy.json", "policy.png", "policy.md", "search.jsonl"),
    "none": (),
}


def test_every_config_is_trained():
    assert {name for name, *_ in RUNS} == {path.stem for path in (ROOT / "configs").glob("*.py")}


def numbers_of(tree):
    """All numbers of nested dicts and lists."""
    if isinstance(tree, dict | list):
        return [one for part in (tree.values() if isinstance(tree, dict) else tree) for one in numbers_of(part)]
    return [tree] if isinstance(tree, int | float) else []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words", "variant"), RUNS)
def test_trains(tmp_path, monkeypatch, name, words, variant):
    """To its end, with finite figures and all that its task and its search promise; a default's checkpoint says the
    same again."""
    on_devices(monkeypatch, 1)  # what two devices change is tested elsewhere, and costs time
    if words == "policy.json":
        policies.dada_space().save(tmp_path / words)
        words = str(tmp_path / words)
    get_config, folder = module_of(name).get_config, tmp_path / "run"
    toy = toy_config(get_config(words) if words else get_config(), variant, tmp_path, monkeypatch)
    found = trainer.train_and_evaluate(toy, folder)
    result = json.loads((folder / "result.json").read_text())
    assert result == json.loads(json.dumps(found))
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [*range(1, EPOCHS + 1)]
    assert np.isfinite(numbers_of([result, records])).all()
    task = instantiate("task", toy.task.to_dict())
    assert {f"test_{shown.metric}" for shown in task.shown_metrics} <= result.keys()
    assert all("train_loss" in record for record in records)
    check_search(toy, folder, records)
    if toy.robustness:
        assert result["robustness"].keys() == {slot["name"] for slot in toy.robustness}
    if not words:
        again = inference.evaluate_run(inference.load(folder))
        assert math.isclose(again[task.metric], result[f"test_{task.metric}"], abs_tol=1e-6)


def check_search(toy, folder, records):
    """What the search of a config has done, and what it leaves."""
    assert not [file for file in FILES[toy.search.name] if not (folder / file).exists()]
    assert all(("search_loss" in record) == (toy.search.name in ("autodo", "dada")) for record in records)
    if (folder / "policy.json").exists():
        policies.load(folder / "policy.json")
    if toy.search.name == "deepaa":
        course = [json.loads(line) for line in (folder / "search.jsonl").read_text().splitlines()]
        assert course[-1]["step"] == toy.search.updates * toy.search.num_layers
    if "learned.npz" in FILES[toy.search.name]:
        with np.load(folder / "learned.npz") as learned:
            offsets = [learned[key] for key in learned.files if key != "index"]
        assert all(np.isfinite(one).all() for one in offsets)
        assert any(np.abs(one).max() > 0 for one in offsets)
    if toy.label_issues:
        assert (folder / "label_errors.csv").exists()
