"""ISDA with few labels on SVHN: the methods of its Table 6 (T-PAMI 2021), 500 labels of 73,257 images.

    python main.py --config=configs/isda_semi_svhn.py               # Mean Teacher
    python main.py --config=configs/isda_semi_svhn.py:vat,50        # VAT; 50 labels a class
    python main.py --config=configs/isda_semi_svhn.py:all           # every method

As isda_semi_cifar, without mirroring, and with the epsilon of VAT's code for SVHN. Test error % in the paper, method /
method + ISDA: mean_teacher 4.18 / 4.06, vat 5.10 / 4.86. Ours: not measured yet (no SVHN images were at hand).
Cost: not measured; needs a GPU.
"""

from jaxaug.train import few_label_methods

ROWS = (*few_label_methods.METHODS, few_label_methods.ALL)


def get_config(words="mean_teacher"):
    word, _, labels = words.partition(",")
    if labels and not labels.isdigit():
        raise ValueError(f"unknown word {labels!r}: labels a class")
    config = few_label_methods.few_labels_config(word, "svhn", int(labels or 50), rows=73_257, vat={"epsilon": 3.5})
    config.augment.train = ({"name": "pad_and_crop", "padding": 4, "fill": "zero"},)
    return config
