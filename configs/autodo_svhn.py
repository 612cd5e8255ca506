"""AutoDO on SVHN, as its released code trains it: WRN-28-10, 200 epochs, 149 passes of the search.

    python main.py --config=configs/autodo_svhn.py:SEP_BOTH           # or RAND, AUTO, DADA, SHA, SEP, SEP_WGHT ...
    python main.py --config=configs/autodo_svhn.py:all                # the eight commands of its README
    python main.py --config=configs/autodo_svhn.py:all,grid           # each with imbalance 1 and 100, noise 0 and 0.1
    python main.py --config=configs/autodo_svhn.py:compat_SEP_BOTH    # searched as by the released code
    python main.py --config=configs/autodo_svhn.py:SEP_BOTH --config.data.imbalance=1 --config.data.noise=0

Beside the methods always: plain training, training on the trusted validation rows too, and on those alone.
Paper (error %, IR-NR 100-0.1): plain 20.0, RAND 13.6, AUTO 15.3, DADA 16.5, SHA 13.7, SEP 12.3, SEP_WGHT 8.1, SEP_BOTH
6.3, each the best epoch on the test set. Ours: not measured yet (no SVHN images where this was written).
Cost: the paper says 6.8 GPU hours for SEP_BOTH; not measured here.
"""

from jaxaug.train import autodo_methods
from jaxaug.train.config import default_config


def get_config(words="SEP_BOTH"):
    methods, _, grid = words.partition(",")
    if grid not in ("", "grid"):
        raise ValueError(f"unknown word {grid!r} after the methods: grid, or none")
    config = default_config()
    config.seeds = 4
    config.epochs, config.batch_size, config.eval_batch_size = 200, 256, 1000
    config.data.update(name="svhn", seed=-1, validation_size=23_257, imbalance=100.0, noise=0.1)
    crop = {"name": "pad_and_crop", "padding": 4, "fill": "zero"}
    config.model = autodo_methods.NETWORK
    config.optim.update(learning_rate=0.005, momentum=0.9, nesterov=True, weight_decay=1e-4)
    config.optim.schedule = autodo_methods.schedule(0.005)
    start = autodo_methods.SEARCH_START
    config.search.update(name="autodo", start=start, batch_size=256, validation_batch_size=256)
    config.search.optim = {"name": "rmsprop", "schedule": autodo_methods.search_schedule(0.05)}
    config.variants = autodo_methods.variants(
        methods,
        transforms=(crop,),
        after=(autodo_methods.ERASING,),
        rand=(3, 7),
        color=(3, 7),
        auto="fast_autoaugment_svhn",
        dada="dada_svhn",
    )
    if grid:
        config.variants = autodo_methods.grid(config.variants, [(1, 0), (100, 0), (1, 0.1), (100, 0.1)])
    return config
