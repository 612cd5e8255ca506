"""AutoDO on scikit-learn's 1,797 real digits of 8 x 8 pixels, with few of the upper classes and 30 % of random labels.

    python main.py --config=configs/autodo_digits.py                # SEP_BOTH and what it is to be compared with
    python main.py --config=configs/autodo_digits.py:SEP+SEP_BOTH   # any methods of train/autodo_methods.py; or :all
    python main.py --config=configs/autodo_digits.py --config.data.imbalance=1 --config.data.noise=0.1

Beside the methods always: plain training, training on the trusted validation rows too, and on those alone. Each seed
has its own cut and distortion, the same for all methods.
Paper: none (AutoDO has no results on digits). Ours: docs/results.md.
Cost: 4 variants x 5 seeds, about 10 minutes on two CPU cores.
"""

from jaxaug.train import autodo_methods
from jaxaug.train.config import default_config


def get_config(methods="SEP_BOTH"):
    config = default_config()
    config.seeds, config.epochs, config.batch_size = 5, 60, 32
    config.eval_every, config.save_every = 5, 60
    config.data.update(name="digits", seed=-1, validation_size=300, imbalance=10.0, noise=0.3)
    config.model = {"name": "convnet", "widths": (16, 32, 64), "dropout_rate": 0.0}
    config.optim.update(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    config.search.update(name="autodo", start=5, batch_size=64, validation_batch_size=64)
    config.search.optim = {"name": "rmsprop", "schedule": {"name": "cosine", "warmup": 5.0}}
    config.variants = autodo_methods.variants(methods)
    return config
