"""Wrong labels in a training set, found with a few rows whose labels are trusted (AutoDO).

    python main.py --config=configs/find_label_errors.py        # Fashion-MNIST with 10 % of the labels drawn anew
    python main.py --config=configs/find_label_errors.py:folder --config.data.path=photos    # your own images
    python main.py --config=configs/find_label_errors.py:npz --config.data.path=rows.npz     # your own arrays

Your own data bring the trusted rows as their validation split, some hundred or more: photos/train/<class>/<image> and
photos/validation/<class>/<image>, or train_image, train_label, validation_image and validation_label in the .npz. The
run leaves label_errors.csv, all training rows, the most suspicious first, and label_errors.png, pictures of the first.
Paper: Gudovskiy et al., CVPR 2021 (no list of errors there). Ours: benchmarks/results/find_label_errors_cpu.json.
Cost: about 6 minutes on two CPU cores for Fashion-MNIST.
"""

from jaxaug.train.config import default_config

SETS = {
    # word after the colon: (epochs, of them before the search, rows in a batch, of a search step, of a trusted batch)
    "fashion_mnist": (8, 2, 128, 500, 500),
    "folder": (30, 1, 64, 64, 250),
    "npz": (30, 1, 64, 64, 250),
}


def get_config(data="fashion_mnist"):
    if data not in SETS:
        raise ValueError(f"unknown data {data!r}: one of {', '.join(SETS)}")
    config = default_config()
    epochs, start, rows, searched, trusted = SETS[data]
    config.epochs, config.batch_size, config.eval_batch_size = epochs, rows, 1000
    config.label_issues = 64
    config.data.name = data
    if data == "fashion_mnist":
        config.data.update(validation_size=500, noise=0.1)
    elif data == "folder":
        config.data.size = 64
    if data != "fashion_mnist":
        # A network that meets each row 30 times learns its label by heart unless the row looks different each time.
        config.augment.train = ({"name": "pad_and_crop", "padding": 2, "fill": "edge"},)
    config.model = {"name": "convnet", "widths": (16, 32, 64), "dropout_rate": 0.0}
    # from 0.1 a soft label has to be moved too far in so few epochs (digits without a crop: 93 % instead of 87 % found)
    config.loss = ({"name": "learned_targets", "smoothing": 0.3}, "learned_weights")
    config.search.update(name="autodo", start=start, batch_size=searched, validation_batch_size=trusted)
    return config
