"""What loss transforms declare is what they do; orders that contradict it are refused, others are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_arrays import MEMBERS

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import resolve
from jaxaug.core.types import Batch, ModelOutput, Progress
from jaxaug.losses._order import READ, WRITTEN

FORMS = [(name, {}) for name in MEMBERS]
FORMS += [
    ("kl_divergence", {"symmetric": True}),
    ("isda", {"labels": "expected", "covariance": "diagonal"}),
    ("soft_targets", {"target": False}),
    ("soft_targets", {"weight": "none"}),
]
B, K, D = 6, 4, 3
FIELDS = ("logits", "targets", "weight", "extra")


def inputs_of():
    rng = np.random.default_rng(0)
    features, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((B, D), (D, K)))
    labels = jnp.asarray([0, 0, 1, 1, 2, 2])
    out = ModelOutput(features, features @ kernel, kernel, None)
    visibility = jnp.asarray(rng.uniform(0.3, 0.9, (B, 1, 1)), jnp.float32)
    batch = Batch(features, labels, labels, visibility, jnp.asarray(rng.uniform(0.1, 0.9, B), jnp.float32))
    given = losses.cross_entropy_inputs(out, batch, {}, Progress(jnp.asarray(0.5), jnp.asarray(0.5), epochs=4))
    targets = jax.nn.softmax(3 * given.targets + jnp.asarray(rng.uniform(size=(B, K)), jnp.float32))
    return given.replace(targets=targets, weight=given.weight * 2.0, extra=given.extra + 1.0)


def changed_inputs(inputs):
    """{field: the inputs with another value of it}."""
    batch, out = inputs.batch, inputs.output
    half = Progress(jnp.asarray(0.25), jnp.asarray(0.25), epochs=4)
    return {
        "label": inputs.replace(batch=batch.replace(label=batch.label[::-1])),
        "visibility": inputs.replace(batch=batch.replace(visibility=batch.visibility / 2)),
        "mix_ratio": inputs.replace(batch=batch.replace(mix_ratio=batch.mix_ratio / 2)),
        "features": inputs.replace(output=out.replace(features=2.0 * out.features)),
        "kernel": inputs.replace(output=out.replace(kernel=out.kernel**2)),
        "progress": inputs.replace(progress=half),
        "logits": inputs.replace(logits=inputs.logits**2),
        "dominant": inputs.replace(targets=inputs.targets[:, ::-1]),
        "targets": inputs.replace(targets=0.9 * inputs.targets),
        "weight": inputs.replace(weight=inputs.weight / 2),
        "extra": inputs.replace(extra=inputs.extra / 2),
    }


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_declarations_are_true(name, options):
    """What is not among the writes stays; what is not among the reads decides nothing that is written."""
    transform, inputs = resolve("loss", name)(**options), inputs_of()
    assert transform.reads <= READ
    assert transform.writes <= WRITTEN
    state = transform.init(K, D)
    apply = jax.jit(lambda inputs: transform.apply(state, inputs)[1])
    result = apply(inputs)
    for field in FIELDS:
        if field not in transform.writes:
            np.testing.assert_array_equal(getattr(result, field), getattr(inputs, field))
    assert any((getattr(result, f) != getattr(inputs, f)).any() for f in transform.writes & set(FIELDS)) or name in (
        "learned_weights",  # 1 where nothing was learned
    )
    for field, other in changed_inputs(inputs).items():
        seen = {field, "targets"} if field == "dominant" else {field}
        if not seen & transform.reads:
            again = apply(other)
            for written in transform.writes & set(FIELDS):
                np.testing.assert_array_equal(getattr(again, written), getattr(result, written), err_msg=field)


REFUSED = [
    (
        ("mixed_targets", "learned_targets"),
        "'learned_targets' makes the targets anew, which undoes what 'mixed_targets'",
    ),
    (
        ("label_smoothing", "learned_targets"),
        "put 'learned_targets' before 'label_smoothing', or leave one of them out",
    ),
    (("soft_targets", "focal", "learned_targets"), "undoes what 'soft_targets' did"),
    (("isda", "mixed_targets"), "'isda' goes by the largest targets, which 'mixed_targets' changes after it: put"),
    (("isda", "learned_targets"), "'isda' goes by the largest targets, which 'learned_targets' changes"),
    (
        ({"name": "isda", "labels": "expected"}, "label_smoothing"),
        "'isda' goes by the targets, which 'label_smoothing'",
    ),
    (("kl_divergence", "soft_targets"), "'kl_divergence' goes by the targets, which 'soft_targets' changes after it"),
    (
        ({"name": "kl_divergence", "symmetric": True}, "isda"),
        "'kl_divergence' goes by the logits, which 'isda' changes",
    ),
]
ACCEPTED = [
    ("learned_targets", "soft_targets", "label_smoothing", "mixed_targets", "kl_divergence", "isda", "focal"),
    ("isda", "label_smoothing"),  # the largest target stays the largest
    ("isda", {"name": "isda", "covariance": "diagonal"}),
    ("kl_divergence", "isda", "learned_weights"),
    ("learned_weights", "mixed_targets"),
    ("mixed_targets", "learned_weights"),
    ("focal", "label_smoothing"),
]


@pytest.mark.fault("loss transforms in the order {slots}", "refused before anything is computed, naming both")
@pytest.mark.parametrize(("slots", "message"), REFUSED)
def test_contradictions(slots, message):
    with pytest.raises(UsageError, match=f"chain: {message}" if message[0] == "'" else message):
        losses.create(slots)


@pytest.mark.parametrize("slots", ACCEPTED)
def test_other_orders(slots):
    """A chain in a chain is what its members are together."""
    loss = losses.create(slots)
    assert losses.chain(losses.chain(loss)).writes == loss.writes


def test_chains_in_chains():
    """What a chain makes anew and then changes is still made anew."""
    fresh = losses.create(("learned_targets", "label_smoothing"))
    assert fresh.reads == {"label"}
    with pytest.raises(UsageError, match="'chain' makes the targets anew, which undoes what 'mixed_targets' did"):
        losses.chain(losses.mixed_targets(), fresh)
    assert losses.chain().reads == losses.chain().writes == frozenset()


def test_undeclared_transforms():
    """Of what says nothing, and of what stands before it, nothing is concluded."""
    unknown = losses.stateless(lambda inputs: inputs)
    loss = losses.chain(losses.label_smoothing(), unknown, losses.learned_targets())
    assert (loss.reads, loss.writes) == (None, None)
    anew = losses.stateless(lambda inputs: inputs, name="mine", reads={"label"}, writes={"targets"})
    with pytest.raises(UsageError, match="'mine' makes the targets anew"):
        losses.chain(unknown, losses.label_smoothing(), anew)
    with pytest.raises(UsageError, match="mine: reads and writes name fields of a loss, did you mean 'targets'"):
        losses.chain(losses.stateless(lambda inputs: inputs, name="mine", reads=(), writes={"target"}))
