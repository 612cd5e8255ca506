"""ISDA with few labels on CIFAR-10 and CIFAR-100: the methods of its Table 6 (T-PAMI 2021), FixMatch, FlexMatch.

    python main.py --config=configs/isda_semi_cifar.py                           # Mean Teacher, CIFAR-10, 4,000 labels
    python main.py --config=configs/isda_semi_cifar.py:vat,100                   # VAT, 100 labels a class
    python main.py --config=configs/isda_semi_cifar.py:pi_model,200,cifar100     # or temporal_ensembling, fixmatch, ...
    python main.py --config=configs/isda_semi_cifar.py:all                       # every method

Beside the method always: the labelled rows alone, and the method with ISDA. Labels a class are drawn by the run's seed.
Test error % in the paper, method / method + ISDA:
                          CIFAR-10                                        CIFAR-100
    labels                1,000          2,000          4,000             10,000         20,000
    pi_model              28.74 / 23.99  17.57 / 14.90  12.36 / 11.35     38.06 / 36.93  30.80 / 30.03
    temporal_ensembling   25.15 / 22.77  15.78 / 14.98  11.90 / 11.25     41.56 / 40.47  35.35 / 34.58
    mean_teacher          18.27 / 17.11  13.45 / 12.35  10.73 / 9.96      36.03 / 34.60  30.00 / 29.37
    vat                   18.12 / 14.38  13.93 / 11.52  11.10 / 9.72      40.12 / 36.04  34.19 / 30.97
FixMatch and FlexMatch are not in it. The code of the table was never released. What is not known of it is taken from
elsewhere: weights and ramps from each method's own paper or code (the Pi-model's and temporal ensembling's times the
share of labelled rows, as theirs), network (WRN-28-2), rate, momentum and weight decay from FixMatch's, which trains
much longer, ISDA's strength and schedule from its CIFAR code. ISDA acts on labelled rows, and its consistency of
features on the others, with a weight of ours; in FixMatch and FlexMatch it acts on both, by the pseudo-label.
The labelled rows alone: as many steps as the method has (with `all`, as those of 192 unlabelled rows have).
Ours: not measured yet. Cost: not measured either; 180 passes over 46,000 images with a small WRN need a GPU.
"""

from jaxaug.train import few_label_methods

ROWS = (*few_label_methods.METHODS, few_label_methods.ALL)
SETS = ("cifar10", "cifar100")


def get_config(words="mean_teacher"):
    word, labels, data = (*words.split(","), "", "")[:3]
    if (labels and not labels.isdigit()) or data not in ("", *SETS):
        raise ValueError(f"unknown words {labels!r}, {data!r}: labels a class, then one of {', '.join(SETS)}")
    classes = 100 if data == "cifar100" else 10
    config = few_label_methods.few_labels_config(word, data or "cifar10", int(labels or 400), classes=classes)
    config.augment.train = ({"name": "pad_and_crop", "padding": 4, "fill": "reflect"}, "flip")
    return config
