"""AutoDO on MNIST, as its released code trains it: a ResNet of 14 layers, 200 epochs, 149 search passes.

    python main.py --config=configs/autodo_mnist.py:SEP_BOTH          # or RAND, SHA, SEP, SEP_WGHT ...
    python main.py --config=configs/autodo_mnist.py:compat_SEP_BOTH   # searched as by the released code
    python main.py --config=configs/autodo_mnist.py:SEP_BOTH --config.data.imbalance=10 --config.data.noise=0.1

Beside the methods always: plain training, training on the trusted validation rows too, and on those alone. AUTO and
DADA have no policies for MNIST; the released code trains without one and says nothing, here those of SVHN are taken.
Paper: no table for MNIST. Ours: not measured yet (no MNIST images where this was written).
Cost: not measured; 312,500 steps of 32 images and 28,650 search steps, for a GPU.
"""

from jaxaug.train import autodo_methods
from jaxaug.train.config import default_config


def get_config(methods="SEP_BOTH"):
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 200, 32, 1000
    config.data.update(name="mnist", seed=-1, validation_size=10_000, imbalance=100.0, noise=0.1)
    config.model = {"name": "resnet", "depth": 14, "activation": "celu"}
    config.optim.update(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    config.optim.schedule = autodo_methods.schedule(0.05)
    start = autodo_methods.SEARCH_START
    config.search.update(name="autodo", start=start, batch_size=256, validation_batch_size=256)
    config.search.optim = {"name": "rmsprop", "schedule": autodo_methods.search_schedule(0.05)}
    config.variants = autodo_methods.variants(
        methods, rand=(3, 5), color=(3, 5), auto="fast_autoaugment_svhn", dada="dada_svhn"
    )
    return config
