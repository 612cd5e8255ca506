"""ISDA with few labels on SVHN: the methods of its Table 6 (T-PAMI 2021), 500 labels of 73,257 images.

    python main.py --config=configs/isda_semi_svhn.py               # Mean Teacher
    python main.py --config=configs/isda_semi_svhn.py:vat,50        # VAT; 50 labels a class
    python main.py --config=configs/isda_semi_svhn.py:all           # every method

As isda_semi_cifar, without mirroring. Test error % in the paper, method / method + ISDA: mean_teacher 4.18 / 4.06,
vat 5.10 / 4.86. Ours: not measured yet (no SVHN images where this was written). Cost: not measured; needs a GPU.
"""

import isda_semi_cifar

ROWS = isda_semi_cifar.ROWS


def get_config(words="mean_teacher"):
    word, _, labels = words.partition(",")
    config = isda_semi_cifar.get_config(f"{word},{labels or 50}")
    config.data.name = "svhn"
    config.augment.train = ({"name": "pad_and_crop", "padding": 4, "fill": "zero"},)
    return config
