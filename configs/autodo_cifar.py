"""AutoDO on CIFAR-10 or CIFAR-100, as its released code trains it: WRN-28-10, 200 epochs, 149 passes of the search.

    python main.py --config=configs/autodo_cifar.py:SEP_BOTH            # or RAND, AUTO, DADA, SHA, SEP, SEP_WGHT ...
    python main.py --config=configs/autodo_cifar.py:all                 # the eight commands of its README
    python main.py --config=configs/autodo_cifar.py:all,grid            # each with imbalance 1 and 10, noise 0 and 0.1
    python main.py --config=configs/autodo_cifar.py:compat_SEP_BOTH     # searched as by the released code
    python main.py --config=configs/autodo_cifar.py:SEP_BOTH,cifar100   # its statistics, and DADA's policy for it

Beside the methods always: plain training, training on the trusted validation rows too, and on those alone.
Paper (error %, IR-NR 10-0.1), CIFAR-10 / CIFAR-100: plain 22.8 / 54.5, RAND 17.4 / 50.1, AUTO 17.9 / 48.9, DADA 20.2 /
49.6, SHA 19.4 / 48.9, SEP 16.6 / 47.4, SEP_WGHT 15.1 / 48.0, SEP_BOTH 13.1 / 39.6, each the best epoch on the test set.
Ours: not measured yet (no CIFAR images where this was written).
Cost: the paper says 5.4 GPU hours for SEP_BOTH; not measured here.
"""

from jaxaug.train import autodo_methods
from jaxaug.train.config import default_config

DADA = {"cifar10": "dada_cifar10", "cifar100": "dada_cifar100"}


def get_config(words="SEP_BOTH"):
    methods, *others = words.split(",")
    for word in others:
        if word not in (*DADA, "grid"):
            raise ValueError(f"unknown word {word!r} after the methods: one of {', '.join(DADA)}, grid")
    name = "cifar100" if "cifar100" in others else "cifar10"
    config = default_config()
    config.seeds = 4
    config.epochs, config.batch_size, config.eval_batch_size = 200, 256, 1000
    config.data.update(name=name, seed=-1, validation_size=10_000, imbalance=10.0, noise=0.1)
    config.data.statistics = "autodo"
    crop = {"name": "pad_and_crop", "padding": 4, "fill": "zero"}
    config.model = autodo_methods.NETWORK
    config.optim.update(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    config.optim.schedule = autodo_methods.schedule(0.1)
    start = autodo_methods.SEARCH_START
    config.search.update(name="autodo", start=start, batch_size=256, validation_batch_size=256)
    config.search.optim = {"name": "rmsprop", "schedule": autodo_methods.search_schedule(0.05)}
    config.variants = autodo_methods.variants(
        methods,
        transforms=(crop, "flip"),
        after=(autodo_methods.ERASING,),
        rand=(3, 15),
        color=(1, 15),
        dada=DADA[name],
    )
    if "grid" in others:
        config.variants = autodo_methods.grid(config.variants, [(1, 0), (10, 0), (1, 0.1), (10, 0.1)])
    return config
