"""Training rows made worse on purpose: the exact counts of AutoDO's protocol, the same rows for every method."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from helpers import dataset_copies as copies
from helpers.corrupted_data import blank, load_digits
from helpers.published_data import small

from jaxaug.core.errors import UsageError
from jaxaug.data.corruption import corrupt


def assert_same_rows(one, other):
    for field in ("image", "label", "index"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(st.data(), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_exact_counts(drawn, num_classes, seed):
    """Whatever the labels and numbers: the counts, clean labels, order and pairing, or a message."""
    label = np.array(drawn.draw(st.lists(st.integers(0, num_classes - 1), min_size=2, max_size=150)), np.int32)
    subsample = drawn.draw(st.floats(0.05, 1))
    imbalance, noise = drawn.draw(st.sampled_from([1, 1.5, 2, 10])), drawn.draw(st.floats(0, 0.99))
    numbers = {"seed": seed, "subsample": subsample, "imbalance": imbalance, "noise": noise}
    data = blank(label, num_classes)
    if not int(len(label) * subsample):
        with pytest.raises(UsageError, match="subsample"):
            corrupt(data, **numbers)
        return
    thin = corrupt(data, seed=seed, subsample=subsample).train
    assert len(thin) == int(len(label) * subsample)
    upper = label[thin.index] >= num_classes // 2
    if imbalance > 1 and not 1 <= int((~upper).sum() / imbalance) <= upper.sum():
        with pytest.raises(UsageError, match="imbalance"):
            corrupt(data, **numbers)
        return
    few = corrupt(data, **numbers)
    index = few.train.index
    assert (np.diff(index) > 0).all()
    assert set(index) <= set(thin.index)
    kept = label[index] >= num_classes // 2
    assert (~kept).sum() == (~upper).sum()
    assert kept.sum() == (upper.sum() if imbalance == 1 else int((~upper).sum() / imbalance))
    changed = few.train.label != label[index]
    assert changed.sum() <= round(noise * len(index))
    np.testing.assert_array_equal(label, data.train.label)
    if noise:
        np.testing.assert_array_equal(few.clean_label, label[index])
    else:
        assert few.clean_label is None
    assert_same_rows(corrupt(data, **numbers).train, few.train)
    # The same rows without noise, and labels that less noise replaced are replaced alike.
    calm = corrupt(data, **(numbers | {"noise": noise / 2})).train
    np.testing.assert_array_equal(calm.index, index)
    early = calm.label != label[index]
    np.testing.assert_array_equal(few.train.label[early], calm.label[early])


def test_noise_is_uniform_over_all_classes():
    """noise * (K - 1) / K of the labels become wrong; every class is drawn as often."""
    label = (np.arange(40000) % 10).astype(np.int32)
    few = corrupt(blank(label, 10), noise=0.5)
    wrong = few.train.label != label
    assert abs(wrong.mean() - 0.45) < 0.01
    assert abs(wrong[:20000].mean() - wrong[20000:].mean()) < 0.02
    table = np.zeros((10, 10))
    np.add.at(table, (label, few.train.label), 1)
    off = table[~np.eye(10, dtype=bool)]
    assert abs(off.mean() - 200) < 5
    assert off.std() < 25
    # A wrong label tells nothing of where its row stands.
    assert abs(np.corrcoef(few.train.label[wrong], np.flatnonzero(wrong))[0, 1]) < 0.03


def test_noise_replaces_an_exact_number_of_labels():
    """Rounded half to even; among so many classes hardly any row draws its own."""
    label = np.arange(150, dtype=np.int32)
    for noise, count in ((0.25, 38), (0.31, 46), (0.5, 75)):
        assert (corrupt(blank(label, 10**5), noise=noise).train.label != label).sum() == count


def test_rows_are_drawn_from_the_pooled_upper_classes():
    """Not class by class, so the upper classes differ in size; nor stratified where rows are thinned out."""
    data = blank((np.arange(3000) % 10).astype(np.int32), 10)
    counts = np.bincount(corrupt(data, imbalance=10).train.label, minlength=10)
    np.testing.assert_array_equal(counts[:5], 300)
    assert counts[5:].sum() == 150
    assert len(set(counts[5:])) > 1
    few = corrupt(data, imbalance=1500).train
    assert (few.label >= 5).sum() == 1
    thin = np.bincount(corrupt(data, subsample=0.5).train.label)
    assert thin.sum() == 1500
    assert len(set(thin)) > 1
    odd = corrupt(blank((np.arange(90) % 3).astype(np.int32), 3), imbalance=2).train.label
    np.testing.assert_array_equal(np.bincount(odd)[0], 30)
    assert len(odd) == 45


def test_digits():
    """The rows of a real set, seeds apart, everything else as it was."""
    data = load_digits()
    numbers = {"imbalance": 10, "noise": 0.3}
    few, other = (corrupt(data, seed=seed, **numbers) for seed in (0, 1))
    lower = int((data.train.label < 5).sum())
    assert len(few.train) == len(few.clean_label) == lower + lower // 10
    assert {*few.train.index} != {*other.train.index}
    whole = load_digits(validation_size=0)
    np.testing.assert_array_equal(few.train.image, whole.train.image[few.train.index])
    np.testing.assert_array_equal(few.clean_label, whole.train.label[few.train.index])
    assert (few.validation, few.test, few.mean, few.std) == (data.validation, data.test, data.mean, data.std)
    assert 0.2 < (few.train.label != few.clean_label).mean() < 0.34
    assert corrupt(data, seed=5) is data
    # A second round keeps what was true at first.
    twice = corrupt(few, seed=7, noise=0.9)
    np.testing.assert_array_equal(twice.clean_label, few.clean_label)


def test_controls():
    """Training on the clean validation rows, alone or with the corrupted ones."""
    data, numbers = load_digits(), {"imbalance": 10, "noise": 0.3}
    few = corrupt(data, **numbers)
    clean = corrupt(data, rows="validation", **numbers)
    assert (clean.train, clean.validation, clean.clean_label) == (data.validation, data.validation, None)
    both = corrupt(data, rows="both", **numbers)
    assert both.validation is data.validation
    assert len(both.train) == len(few.train) + 300
    assert (np.diff(both.train.index) > 0).all()
    trusted = np.isin(both.train.index, data.validation.index)
    assert_same_rows(both.train.at(trusted), data.validation)
    assert_same_rows(both.train.at(~trusted), few.train)
    np.testing.assert_array_equal(both.clean_label[~trusted], few.clean_label)
    np.testing.assert_array_equal(both.clean_label[trusted], data.validation.label)
    plain = corrupt(data, rows="both")
    assert_same_rows(plain.train, load_digits(validation_size=0).train)
    assert plain.clean_label is None


def test_ablations():
    data, whole, numbers = load_digits(), load_digits(validation_size=0).train, {"imbalance": 10, "noise": 0.3}
    few = corrupt(data, **numbers)
    overfit = corrupt(data, ablation="overfit", **numbers)
    assert_same_rows(overfit.train, few.train)
    np.testing.assert_array_equal(overfit.validation.image, data.test.image)
    np.testing.assert_array_equal(overfit.validation.index, np.arange(1347, 1347 + 450))
    assert overfit.test is data.test
    split = corrupt(data, ablation="oversplit", **numbers)
    assert_same_rows(split.validation, whole)
    np.testing.assert_array_equal(split.train.index, whole.index)
    np.testing.assert_array_equal(split.clean_label, whole.label)
    np.testing.assert_array_equal(split.train.label[few.train.index], few.train.label)
    elsewhere = np.setdiff1d(whole.index, few.train.index)
    np.testing.assert_array_equal(split.train.label[elsewhere], whole.label[elsewhere])
    # Without validation rows the whole training set is what there is.
    alone = corrupt(load_digits(validation_size=0), ablation="oversplit")
    assert_same_rows(alone.train, whole)
    assert_same_rows(alone.validation, whole)


def test_memory_mapped_images_stay_on_disk(tmp_path):
    image, label = copies.rows(30, (4, 4, 1), 3)
    np.save(tmp_path / "image.npy", image)
    data = small((np.load(tmp_path / "image.npy", mmap_mode="r"), label))
    assert isinstance(corrupt(data, noise=0.5).train.image, np.memmap)
