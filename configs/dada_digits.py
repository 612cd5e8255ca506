"""DADA on scikit-learn's 1,797 real digits of 8 x 8 pixels: learn a policy in one short run, then train with it.

    python main.py --config=configs/dada_digits.py --workdir=runs/dada
    python main.py --config=configs/dada_digits.py:runs/dada/convnet/seed_0/policy.json

The first learns a policy; the second trains without one, with the space as it was before the search, and with what was
learned.

The search takes half of the training rows for the network and half for the policy, as the released code does with the
reduced CIFAR-10; its rates are those of the code's recipe for CIFAR-10. `learned` is the policy as it was found, all
105 sub-policies by their shares.
Paper: none on digits. CIFAR-10 (error %, README of the code): WRN-40-2 5.3 without, 3.6 with the policy it found in
0.1 GPU hours; WRN-28-10 3.9 and 2.7. Ours (digits, error %, 5 seeds, one search): none 1.11 +- 0.27, space 1.42 +-
0.37, learned 0.80 +- 0.20; a test row is 0.22. Solarize and Invert, which turn the black background white, are drawn
less than half as often as at the start.
Cost: 1 minute for the search, as much for the 15 runs of the comparison, on two CPU cores.
"""

from jaxaug.train.config import default_config

NO_POLICY, SPACE = {"train": ()}, {"train": ({"name": "policy", "preset": "dada_space"},)}


def get_config(policy=""):
    config = default_config()
    config.batch_size, config.eval_every, config.save_every = 64, 5, 60
    config.model = {"name": "convnet", "widths": (16, 32, 64), "dropout_rate": 0.0}
    config.optim.update(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=2e-4)
    config.data.name = "digits"
    if policy:
        config.seeds, config.epochs = 5, 30
        learned = {"train": ({"name": "policy", "file": policy},)}
        config.variants = {"none": {"augment": NO_POLICY}, "space": {"augment": SPACE}, "learned": {"augment": learned}}
        return config
    config.epochs = 60
    config.data.validation_size = 0.5
    config.augment.train = ({"name": "policy", "preset": "dada_space", "learned": "shared", "exact": False},)
    config.search = {"name": "dada", "start": 0, "every": 1, "batch_size": 64, "validation_batch_size": 64, "rate": 0.1}
    # A step of 0.005 in a probability or level of 1/2, as there, is one of 0.02 in its logit, which is learned here.
    config.search.optim = {"name": "adam", "learning_rate": 0.02, "b1": 0.5, "b2": 0.999, "schedule": "constant"}
    return config
