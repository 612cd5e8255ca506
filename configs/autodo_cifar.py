"""AutoDO on CIFAR-10 or CIFAR-100, as its released code trains it: WRN-28-10, 200 epochs, search from epoch 50.

    python main.py --config=configs/autodo_cifar.py:SEP_BOTH          # or RAND, AUTO, DADA, SHA, SEP, SEP_WGHT ...
    python main.py --config=configs/autodo_cifar.py:all               # the eight commands of its README
    python main.py --config=configs/autodo_cifar.py:compat_SEP_BOTH   # the released code's choices
    python main.py --config=configs/autodo_cifar.py:SEP_BOTH --config.data.name=cifar100

Beside the methods always: plain training, training on the trusted validation rows too, and on those alone.
Paper (CIFAR-10, error %, IR-NR 10-0.1): plain 22.8, RAND 17.4, AUTO 17.9, DADA 20.2, SHA 19.4, SEP 16.6, SEP_WGHT 15.1,
SEP_BOTH 13.1, each the best epoch on the test set. Ours: not measured yet (no CIFAR images where this was written).
Cost: the paper says 5.4 GPU hours for SEP_BOTH; not measured here.
"""

from jaxaug.train import autodo_methods
from jaxaug.train.config import default_config


def get_config(methods="SEP_BOTH"):
    config = default_config()
    config.seeds = 4
    config.epochs, config.batch_size, config.eval_batch_size = 200, 256, 1000
    config.data.update(name="cifar10", seed=-1, validation_size=10_000, imbalance=10.0, noise=0.1)
    crop = {"name": "pad_and_crop", "padding": 4, "fill": "zero"}
    # The released code erases with 0 after normalisation, the mean of all images; here it is the image's own mean.
    erasing = {"name": "random_erasing", "probability": 0.5, "fill": "mean"}
    config.model = {"name": "wide_resnet", "depth": 28, "widen_factor": 10, "dropout_rate": 0.0}
    config.optim.update(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    config.optim.schedule = {"name": "cosine", "per": "epoch", "floor": 0.1e-3, "warmup": 5.0}
    config.search.update(name="autodo", start=50, batch_size=256, validation_batch_size=256)
    schedule = {"name": "cosine", "per": "epoch", "floor": 0.05e-3, "warmup": 5.0}
    config.search.optim = {"name": "rmsprop", "schedule": schedule}
    config.variants = autodo_methods.variants(
        methods,
        transforms=(crop, "flip", erasing),
        rand=(3, 15),
        color=(1, 15),
    )
    return config
