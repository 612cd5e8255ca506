r"""Labels that people gave (CIFAR-10N): what AutoDO makes of them, and a list of suspects, beside plain training.

    python main.py --config=configs/autodo_cifar10n.py                               # all eleven rows
    python main.py --config=configs/autodo_cifar10n.py:plain+BOTH                    # some of them; BOTH_parameters ...
    python main.py --config=configs/autodo_cifar10n.py:all,people.csv,lists/people   # other labels, and their list

The data set brings the true labels, which the 500 trusted rows and the test rows keep. cifar10n.npy has the people's,
an integer for each of the 50,000 training rows, of which 10,000 are taken; a .csv will do. (On the command line,
data.labels would be set for the row `dropped`, too, and the epochs for `trusted`.) Of the released CIFAR-10_human.npy,
in the order of CIFAR-10's own archive (a copy that tensorflow-datasets prepared has another):

    python -c "import numpy as np; people = np.load('CIFAR-10_human.npy', allow_pickle=True).item()
    np.save('cifar10n.npy', np.asarray(people['random_label1'], int))"

Other copies: --config.data.name=npz --config.data.path=cifar10.npz, or folder. The rows `dropped`, `weighted` and
`softened` take what this leaves in found/, which judges the same rows, and learns from the trusted ones, too:

    jaxaug label-errors cifar10 --data.labels=cifar10n.npy --data.train_size=10000 --data.validation_size=500 \
        --trusted=validation --out=found

and the row `WGHT_again` the folder of a run of WGHT, which is the fourth word.

Paper: none (AutoDO's noise is drawn). Ours: docs/results.md, on a JPEG copy.
Cost: 9,360 training steps, four to five minutes for each row on a core; AutoDO's rows have 800 search steps, too. The
list takes nine minutes.
"""

from jaxaug.label_errors.cleaning import WITHOUT_SUSPECTS
from jaxaug.train import autodo_methods
from jaxaug.train.config import default_config

SEARCHED = ("WGHT", "SOFT", "BOTH", "SEP_BOTH")  # of AutoDO: learned weights, soft labels, both; an augmentation, too
PARAMETERS = "_parameters"  # AutoDO through each number of the classifier, by RMSprop
LISTED = ("dropped", "weighted", "softened")  # the suspects, their weights, their soft labels
AGAIN = "WGHT_again"  # anew, with the weights that WGHT ends with from the start
ROWS = ("plain", "trusted", "added", *LISTED, *SEARCHED, AGAIN)
ROWS_KEPT, TRUSTED, EPOCHS = 10_000, 500, 30
# 500 rows say well how sure the network should be of itself, and badly what each of 1,290 numbers should be; and a row
# of which they say much should move further than others. Chosen on draws 3 and 4, see docs/results.md.
OPTIM = {"name": "normalized_sgd", "learning_rate": 0.1}
THROUGH_ALL = {"name": "autodo", "through": "parameters", "optim": {"name": "rmsprop"}}
DEFAULTS = ("cifar10n.npy", "found", "weights")  # the people's labels, what was found in them, what WGHT learned


def optimizer(epochs):
    schedule = {"name": "cosine", "warmup": 0.2 * epochs}
    return {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 5e-4, "schedule": schedule}


def variants(found, weights):
    """name -> changes of the config; folders: `found`, that of `jaxaug label-errors`; `weights`, of a run of WGHT."""
    searched = {name if name.startswith("SEP") else f"NONE_{name}": name for name in SEARCHED}
    crop = {"name": "pad_and_crop", "padding": 4, "fill": "edge"}
    methods = autodo_methods.variants("+".join(searched), transforms=(crop, "flip"))
    plain, epochs = methods["plain"], EPOCHS * ROWS_KEPT // TRUSTED  # of the trusted rows: they meet as many images
    alone = {"epochs": epochs, "eval_every": epochs, "save_every": epochs, "optim": optimizer(epochs)}
    return {
        "plain": plain,
        "trusted": {**methods["validation_only"], **alone},
        "added": methods["train_and_validation"],
        # The table names the rows that are left.
        "dropped": {**plain, "data": {"labels": f"{found}/{WITHOUT_SUSPECTS}", "train_size": 0}},
        "weighted": {**plain, "loss": autodo_methods.CHAINS["WGHT"], "search": {"name": "learned", "run": found}},
        "softened": {**plain, "loss": autodo_methods.CHAINS["SOFT"], "search": {"name": "learned", "run": found}},
        AGAIN: {**plain, "loss": autodo_methods.CHAINS["WGHT"], "search": {"name": "learned", "run": weights}},
        **{name: methods[method] for method, name in searched.items()},
        **{name + PARAMETERS: {**methods[method], "search": THROUGH_ALL} for method, name in searched.items()},
    }


def get_config(words="all"):
    names, labels, found, weights = [*words.split(","), *DEFAULTS[words.count(",") :]]
    rows = ROWS if names == "all" else names.split("+")
    everything = variants(found, weights)
    for row in rows:
        if row not in everything:
            raise ValueError(f"unknown row {row!r}: one of {', '.join(everything)}, several joined by +, or all")
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = EPOCHS, 32, 1000
    config.eval_every, config.save_every = 2, EPOCHS  # each row tells the epoch that is best on the trusted rows, too
    config.data.update(name="cifar10", labels=labels, train_size=ROWS_KEPT, validation_size=TRUSTED, seed=0)
    config.model = {"name": "convnet", "widths": (32, 64, 128), "downsampling": "max_pool", "dropout_rate": 0.1}
    config.optim = optimizer(EPOCHS)
    config.search.update(name="autodo", start=EPOCHS // 3, batch_size=250, validation_batch_size=250)
    config.search.update(through="scale", optim=OPTIM)
    config.variants = {row: everything[row] for row in rows}
    return config
