"""AutoDO on Fashion-MNIST: few of the upper classes, 10 % of random labels.

    python main.py --config=configs/autodo_fashion_mnist.py:SEP_BOTH          # a convnet on 3,300 rows: two CPU cores
    python main.py --config=configs/autodo_fashion_mnist.py:all               # the eight methods of the paper's tables
    python main.py --config=configs/autodo_fashion_mnist.py:all,wide_resnet   # WRN-16-4 on all rows: a GPU

Beside the methods always: plain training, training on the trusted validation rows too, and on those alone.
Paper: none (AutoDO has no results on Fashion-MNIST). Ours: docs/results.md (the convnet).
Cost: a run of the convnet takes 1 (plain) to 4 minutes (SEP_BOTH) on two CPU cores; :all is 10 variants x 3 seeds.
"""

from jaxaug.train import autodo_methods
from jaxaug.train.config import default_config

NETWORKS = {
    # word after the comma: (model, options, epochs, training rows before the distortion, trusted rows, search start,
    # rows in a batch, of a search step and of its trusted batch, learning rate)
    "convnet": ("convnet", {"widths": (16, 32, 64), "dropout_rate": 0.0}, 15, 6_000, 1_000, 3, 32, 64, 0.05),
    "wide_resnet": ("wide_resnet", {"depth": 16, "widen_factor": 4}, 100, 0, 10_000, 25, 128, 256, 0.1),
}


def get_config(words="SEP_BOTH"):
    methods, _, model = words.partition(",")
    name, options, epochs, rows, trusted, start, batch, searched, rate = NETWORKS[model or "convnet"]
    config = default_config()
    config.seeds, config.epochs = 3, epochs
    config.batch_size, config.eval_batch_size = batch, 1000
    config.eval_every, config.save_every = 5, 10
    config.data.update(name="fashion_mnist", seed=-1, train_size=rows, validation_size=trusted)
    config.data.update(imbalance=10.0, noise=0.1)
    config.model = {"name": name, **options}
    config.optim.update(learning_rate=rate, weight_decay=5e-4)
    config.search.update(name="autodo", start=start, batch_size=searched, validation_batch_size=searched)
    config.search.optim = {"name": "rmsprop", "schedule": {"name": "cosine", "warmup": 5.0}}
    config.variants = autodo_methods.variants(
        methods, transforms=("flip",), rand=(3, 5), auto="fast_autoaugment_svhn", dada="dada_svhn"
    )
    return config
