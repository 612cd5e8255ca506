"""Configs: every option filled in, and settings of a command line at their place."""

import pytest
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import defaults_of, resolve
from jaxaug.train.config import apply_override, complete, default_config, expand

ISDA = {"name": "isda", "strength": 0.5}


def config_of(**changes):
    """Fields replaced whole."""
    config = default_config()
    for name, value in changes.items():
        config[name] = value
    return config


def searching():
    return config_of(search={"name": "autodo", "solver": {"name": "neumann", "steps": 3}, "optim": "rmsprop"})


def after(path, text, config=None):
    """The value at a path of the complete config, set by a command line."""
    config = default_config() if config is None else config
    apply_override(config, path, text)
    tree = complete(config).to_dict()
    for word in path.split("."):
        if isinstance(tree, tuple):
            names = [slot["name"] for slot in tree]
            tree = tree[int(word)] if word.isdigit() else tree[names.index(word)]
        else:
            tree = tree[word]
    return tree


class TestComplete:
    def test_every_option_of_every_component(self):
        config = complete(searching())
        config = complete(config_of(search=config.search, loss=("label_smoothing", ISDA), robustness=("occlusion",)))
        assert config.loss[0] == {"name": "label_smoothing", **defaults_of(resolve("loss", "label_smoothing"))}
        assert config.loss[1] == {"name": "isda", **defaults_of(resolve("loss", "isda")), "strength": 0.5}
        assert config.model.widths == (32, 64, 128)
        assert (config.data.validation_size, config.data.rows) == (0.0, "train")
        assert (config.optim.learning_rate, config.optim.momentum, config.optim.schedule.warmup) == (0.1, 0.9, 0.0)
        assert config.search.solver.to_dict() == {"name": "neumann", "steps": 3, "rate": 0.01, "scaled": True}
        optim = config.search.optim
        assert (optim.name, optim.learning_rate, optim.decay, optim.schedule.name) == ("rmsprop", 0.05, 0.99, "cosine")
        assert config.robustness[0]["shares"] == defaults_of(resolve("robustness", "occlusion"))["shares"]

    def test_what_is_complete_stays(self):
        config = complete(searching())
        assert complete(config).to_dict() == config.to_dict()

    def test_nothing_of_the_given_config_changes(self):
        config = searching()
        before = config.to_dict()
        complete(config)
        assert config.to_dict() == before

    def test_one_component_needs_no_sequence(self):
        def loss_of(loss):
            return complete(ConfigDict({**default_config().to_dict(), "loss": loss})).to_dict()["loss"]

        assert loss_of("isda") == loss_of(("isda",))
        assert loss_of(ISDA) == loss_of((ISDA,))

    @pytest.mark.parametrize("name", ["", "none"])
    def test_a_search_that_is_switched_off_has_no_options(self, name):
        assert complete(config_of(search={"name": name})).search.to_dict() == {"name": "none"}
        with pytest.raises(
            UsageError, match=r"^config\.search: 'none' takes no options, got start: set it to 'none' al"
        ):
            complete(config_of(search={"name": name, "start": 3}))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"los": ()}, r"^unknown field config\.los: did you mean 'loss'\?$"),
            ({"augment": {"trains": ()}}, r"^unknown field config\.augment\.trains: did you mean 'train'\?$"),
            ({"model": {"name": "convnett"}}, r"^config\.model: unknown model 'convnett': did you mean 'convnet' or "),
            ({"model": {"widths": (4,)}}, r"^config\.model: unknown model '': valid names are "),
            ({"loss": (3,)}, r"^config\.loss: a component is a name or .*, got 3$"),
            (
                {"loss": ("isda", {"name": "focal", "gama": 1})},
                r"^config\.loss: unknown option 'gama' of loss 'focal': did you mean 'gamma'\?$",
            ),
            (
                {"optim": {"name": "sgd", "momentun": 1, "schedule": "cosine"}},
                r"^config\.optim: unknown option 'momentun' of optimizer 'sgd': did you mean 'momentum'\?$",
            ),
            (
                {"optim": {"name": "sgd", "schedule": {"name": "cosine", "warmups": 1}}},
                r"^config\.optim\.schedule: unknown option 'warmups' of schedule 'cosine': did you mean 'warmup'\?$",
            ),
            (
                {"search": {"name": "autodo", "optim": {"name": "adam", "schedule": "cosin"}}},
                r"^config\.search\.optim\.schedule: unknown schedule 'cosin': did you mean 'cosine'\?$",
            ),
            (
                {"data": {"name": "digits", "validation": 3}},
                r"^config\.data: unknown option 'validation' of data 'digits': did you mean 'validation_size'\?$",
            ),
        ],
    )
    def test_mistakes(self, changes, message):
        config = default_config()
        for name, value in changes.items():
            if name == "augment":
                config.augment.update(value)
            else:
                config[name] = value
        with pytest.raises(UsageError, match=message):
            complete(config)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("epochs", "3", 3),
        ("epochs", "3.0", 3),
        ("place", "host", "host"),
        ("data.directory", "123", "123"),
        ("data.validation_size", "100", 100.0),
        ("optim.learning_rate", "1e-3", 1e-3),
        ("optim.learning_rate", "1", 1.0),
        ("optim.momentum", "0.5", 0.5),  # the config does not name it
        *((("optim.nesterov", text, value)) for text, value in (("False", False), ("true", True), ("0", False))),
        ("model.widths", "(8, 16)", (8, 16)),
        ("model.widths", "[8, 16]", (8, 16)),
        ("model.widths", "8,16", (8, 16)),
        ("model.widths", "8", (8,)),
        ("optim.schedule.warmup", "5", 5.0),
        ("augment.size", "4", 4),
    ],
)
def test_a_value_is_of_the_kind_of_what_was_there(path, text, value):
    found = after(path, text)
    assert found == value
    assert type(found) is type(value)


class TestSlots:
    def test_a_component_by_name(self):
        config = config_of(model={"name": "convnet", "widths": (4,)})
        assert after("model", "resnet", config)["name"] == "resnet"
        assert after("model.depth", "20", config) == 20
        assert config.model.to_dict() == {"name": "resnet", "depth": 20}

    def test_a_component_as_a_literal(self):
        found = after("model", "{'name': 'convnet', 'widths': (4, 8)}")
        assert (found["name"], found["widths"]) == ("convnet", (4, 8))

    def test_another_name_keeps_the_options(self):
        config = config_of(model={"name": "resnet", "depth": 20})
        assert after("model.name", "densenet", config) == "densenet"
        assert config.model.depth == 20

    def test_a_share_where_the_config_has_a_whole_number(self):
        """The kind is that of the component's default, however the config wrote its number."""
        config = config_of(data={"name": "digits", "validation_size": 5000})
        config.variants = {"share": {"data": {"validation_size": 0.1}}}
        assert expand(config)["share"].data.validation_size == 0.1
        assert after("data.validation_size", "0.2", config) == 0.2

    @pytest.mark.parametrize("word", ["isda", "1"])
    def test_an_option_by_name_or_number(self, word):
        config = config_of(loss=("label_smoothing", ISDA))
        assert after(f"loss.{word}.covariance", "diagonal", config) == "diagonal"
        assert config.loss == ({"name": "label_smoothing"}, {**ISDA, "covariance": "diagonal"})

    def test_the_last_word_of_a_dotted_name(self):
        config = config_of(loss=({"name": "jaxaug.losses.isda", "strength": 0.5},))
        apply_override(config, "loss.isda.strength", "0.25")
        assert config.loss[0] == {"name": "jaxaug.losses.isda", "strength": 0.25}

    def test_the_first_of_a_name_twice_and_the_second_by_number(self):
        config = config_of(loss=(ISDA, ISDA))
        apply_override(config, "loss.isda.strength", "0.25")
        apply_override(config, "loss.1.strength", "0.75")
        assert [slot["strength"] for slot in config.loss] == [0.25, 0.75]

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("isda", ("isda",)),
            ("label_smoothing,isda", ("label_smoothing", "isda")),
            ("label_smoothing, isda,", ("label_smoothing", "isda")),
            ("('isda', 'focal')", ("isda", "focal")),
            ("()", ()),
            ("", ()),
        ],
    )
    def test_a_sequence_by_names(self, text, names):
        assert tuple(slot["name"] for slot in after("loss", text)) == names

    def test_a_component_that_stays_keeps_its_options(self):
        config = config_of(loss=(ISDA,))
        apply_override(config, "loss", "label_smoothing,isda")
        assert config.loss == ("label_smoothing", ISDA)

    def test_a_sequence_as_a_literal(self):
        found = after("loss", "({'name': 'isda', 'strength': 0.25}, 'label_smoothing')")
        assert [slot["name"] for slot in found] == ["isda", "label_smoothing"]
        assert found[0]["strength"] == 0.25

    def test_one_component_of_a_sequence_replaced(self):
        config = config_of(loss=("label_smoothing", ISDA))
        apply_override(config, "loss.isda", "focal")
        apply_override(config, "loss.0", "{'name': 'label_smoothing', 'amount': 0.2}")
        assert config.loss == ({"name": "label_smoothing", "amount": 0.2}, {"name": "focal"})

    def test_components_in_components(self):
        config = searching()
        assert after("search.solver.steps", "7", config) == 7
        assert after("search.solver.rate", "0.5", config) == 0.5
        assert after("search.optim.learning_rate", "1", config) == 1.0
        assert after("search.optim.schedule.warmup", "2", config) == 2.0
        assert after("search.optim.schedule", "steps", config)["name"] == "steps"
        assert after("search.optim.schedule.milestones", "60,120", config) == (60, 120)
        assert "damping" in after("search.solver", "conjugate_gradient", config)
        assert after("search.part", "head,kernel", config) == ("head", "kernel")
        assert after("search.part", "head", config) == ("head",)
        assert after("optim.schedule", "steps", config)["name"] == "steps"
        assert after("optim.schedule.milestones", "(60,)", config) == (60,)

    def test_a_schedule_that_is_a_name(self):
        config = config_of(optim={"name": "sgd", "schedule": "cosine"})
        assert after("optim.schedule.floor", "0.01", config) == 0.01
        assert config.optim.schedule.to_dict() == {"name": "cosine", "floor": 0.01}

    def test_a_search_and_its_options(self):
        config = default_config()
        apply_override(config, "search", "deepaa")
        assert after("search.ops", "Rotate,Invert", config) == ("Rotate", "Invert")
        assert after("search.num_layers", "2", config) == 2


class TestVariants:
    def test_what_a_variant_brings_is_set_there_too(self):
        config = config_of(loss=(ISDA,))
        config.variants = {"plain": {"loss": ()}, "weak": {"loss": ({**ISDA, "strength": 0.1},)}, "as_it_is": {}}
        apply_override(config, "loss.isda.covariance", "diagonal")
        found = {name: complete(one).loss for name, one in expand(config).items()}
        assert found["plain"] == ()
        assert [(slot["strength"], slot["covariance"]) for slot in found["weak"]] == [(0.1, "diagonal")]
        assert [(slot["strength"], slot["covariance"]) for slot in found["as_it_is"]] == [(0.5, "diagonal")]

    def test_a_component_that_only_a_variant_has(self):
        config = default_config()
        config.variants = {"none": {"search": {"name": "none"}}, "searched": {"search": {"name": "autodo", "start": 1}}}
        apply_override(config, "search.every", "4")
        found = {name: complete(one).search for name, one in expand(config).items()}
        assert found["none"].to_dict() == {"name": "none"}
        assert (found["searched"].start, found["searched"].every) == (1, 4)
        with pytest.raises(UsageError, match=r"unknown setting config\.search\.evry"):
            apply_override(config, "search.evry", "4")

    def test_fields_that_no_variant_brings(self):
        config = default_config()
        config.variants = {"small": {"model": {"widths": (4,)}}}
        apply_override(config, "epochs", "2")
        assert expand(config)["small"].epochs == 2
        assert config.variants.to_dict() == {"small": {"model": {"widths": (4,)}}}

    def test_variants_taken_away(self):
        config = default_config()
        config.variants = {"small": {"model": {"widths": (4,)}}}
        apply_override(config, "variants", "{}")
        assert list(expand(config)) == ["convnet"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"los": ()}, r"unknown field config\.variants\.one\.los: did you mean 'loss'"),
            ({"epochs": "many"}, r"config\.variants\.one\.epochs must be a whole number, got 'many'"),
            ({"epochs": 2.5}, r"config\.variants\.one\.epochs must be a whole number, got 2\.5"),
            ({"epochs": True}, r"config\.variants\.one\.epochs must be a whole number, got True"),
            ({"augment": "flip"}, r"config\.variants\.one\.augment must be a literal \{\.\.\.\}, got 'flip'"),
            ({"place": ("host",)}, r"config\.variants\.one\.place must be a word, got \('host',\)"),
            ({"model": 3}, r"config\.variants\.one\.model must be a literal \{\.\.\.\}, got 3"),
            ({"loss": 3}, r"config\.variants\.one\.loss must be a sequence, got 3"),
        ],
    )
    def test_mistakes(self, changes, message):
        config = default_config()
        config.variants = {"one": changes}
        with pytest.raises(UsageError, match=message):
            expand(config)

    def test_another_component_begins_with_its_own_options(self):
        """Options that every component of the slot has stay; a slot may be written as a name alone."""
        config = default_config()
        config.model = {"name": "convnet", "widths": (4,)}
        config.optim = {
            "name": "sgd",
            "momentum": 0.5,
            "learning_rate": 0.3,
            "schedule": {"name": "cosine", "warmup": 2.0},
        }
        config.search = {"name": "autodo", "every": 3, "solver": {"name": "conjugate_gradient", "steps": 3}}
        config.variants = {
            "linear": {"model": "linear", "search": "none", "loss": "isda"},
            "adam": {"model": {"name": "linear"}, "optim": {"name": "adamw", "schedule": {"name": "constant"}}},
            "longer": {"model": {"name": "convnet"}, "optim": {"learning_rate": 1}, "search": {"solver": "identity"}},
        }
        found = {name: complete(one) for name, one in expand(config).items()}
        assert found["linear"].model.to_dict() == complete(config_of(model={"name": "linear"})).model.to_dict()
        assert (found["linear"].search.to_dict(), found["linear"].loss[0]["name"]) == ({"name": "none"}, "isda")
        assert (found["adam"].optim.learning_rate, found["adam"].optim.schedule.name) == (0.3, "constant")
        assert "momentum" not in found["adam"].optim
        assert found["longer"].model.widths == (4,)
        assert (found["longer"].optim.learning_rate, found["longer"].optim.momentum) == (1.0, 0.5)
        assert (found["longer"].search.every, found["longer"].search.solver.name) == (3, "identity")

    def test_seeds(self):
        with pytest.raises(UsageError, match=r"config\.seeds must be at least 1, got 0"):
            expand(config_of(seeds=0))
        with pytest.raises(UsageError, match=r"seed must be below 2\*\*32, also of the last of 2 runs, got 4294967295"):
            expand(config_of(seed=2**32 - 1, seeds=2))
        assert expand(config_of(seed=2**32 - 1, seeds=1))["convnet"].seed == 2**32 - 1


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("epohcs", "3", r"^unknown setting config\.epohcs: did you mean 'epochs'\?$"),
        ("augment.trains", "flip", r"^unknown setting config\.augment\.trains: did you mean 'train'\?$"),
        ("model.width", "3", r"^unknown setting config\.model\.width: did you mean 'widths'\?$"),
        ("optim.schedule.warmups", "3", r"^unknown setting config\.optim\.schedule\.warmups: did you mean 'warmup'\?$"),
        ("search.solver.stepps", "3", r"^unknown setting config\.search\.solver\.stepps: did you mean 'steps'\?$"),
        ("loss.isda.ordr", "x", r"^unknown setting config\.loss\.isda\.ordr: did you mean 'order'\?$"),
        (
            "loss.focal.gamma",
            "2",
            r"^config\.loss has no 'focal': it has isda; put it in with --config\.loss=isda,focal$",
        ),
        ("loss.1.gamma", "2", r"^config\.loss has no '1': it has isda; "),
        (
            "robustness.occlusion.fill",
            "black",
            r"^config\.robustness has no 'occlusion': it is empty; put it in with --config\.robustness=occlusion$",
        ),
        ("epochs.more", "3", r"^config\.epochs is 30, which has no part 'more'$"),
        *(("epochs", one, f"^config.epochs must be a whole number, got '{one}'$") for one in ("many", "1.5", "1e999")),
        ("epochs", "True", r"^config\.epochs must be a whole number, got 'True'$"),
        ("optim.learning_rate", "fast", r"^config\.optim\.learning_rate must be a number, got 'fast'$"),
        ("optim.nesterov", "maybe", r"^config\.optim\.nesterov must be True or False, got 'maybe'$"),
        ("optim.nesterov", "2", r"^config\.optim\.nesterov must be True or False, got '2'$"),
        ("model", "3", r"^config\.model must be a literal \{\.\.\.\}, got '3'$"),
        ("augment", "flip", r"^config\.augment must be a literal \{\.\.\.\}, got 'flip'$"),
        ("variants", "plain", r"^config\.variants must be a literal \{\.\.\.\}, got 'plain'$"),
    ],
)
def test_settings_that_cannot_be(path, text, message):
    config = searching()
    config.loss = (ISDA,)
    before = config.to_dict()
    with pytest.raises(UsageError, match=message):
        apply_override(config, path, text)
    assert config.to_dict() == before


def test_precision_is_that_of_any_model():
    """The option of the models that have one says it too; that of a model alone stays as it is."""
    config = default_config()
    apply_override(config, "precision", "bfloat16")
    assert complete(config).model.dtype == "bfloat16"
    config.precision = "float32"
    apply_override(config, "model.dtype", "bfloat16")
    assert complete(config).model.dtype == "bfloat16"


def test_a_sequence_of_what_is_no_component():
    """What was set shows when the config is completed, before anything else is done."""
    config = default_config()
    apply_override(config, "loss", "3")
    with pytest.raises(UsageError, match=r"^config\.loss: a component is a name or .*, got 3$"):
        complete(config)


def test_losses_within_a_loss():
    """Their options are filled in, refused and set like those of any other."""
    config = default_config()
    config.loss = ("pixel_isda", {"name": "auxiliary", "loss": ("pixel_isda",)})
    inner = complete(config).loss[1]["loss"]
    assert inner == (complete(config).loss[0],)
    assert inner[0]["strength"] == 7.5
    apply_override(config, "loss.auxiliary.loss.pixel_isda.strength", "2")
    assert complete(config).loss[1]["loss"][0]["strength"] == 2.0
    assert complete(config).loss[0]["strength"] == 7.5
    apply_override(config, "loss.auxiliary.loss", "pixel_isda,lovasz")
    assert [slot["name"] for slot in complete(config).loss[1]["loss"]] == ["pixel_isda", "lovasz"]
    assert complete(config).loss[1]["loss"][0]["strength"] == 2.0
    config.loss = ({"name": "auxiliary", "loss": ({"name": "pixel_isda", "strenght": 1.0},)},)
    with pytest.raises(UsageError, match=r"config\.loss\.loss: .*'strenght'.* did you mean 'strength'"):
        complete(config)
