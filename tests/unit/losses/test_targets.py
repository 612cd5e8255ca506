"""Softened, mixed and smoothed targets against the released code's losses, and what holds for any of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_inputs import HALF, inputs_of, loss_and_gradient, random_case
from helpers.settings import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.losses._targets import confidence, kl_divergence, label_smoothing, mixed_targets, soft_targets
from jaxaug.losses._weights import focal

golden = functools.lru_cache(lambda: np.load(GOLDEN / "soft_augmentation.npz"))
CONFIDENCES = [str(name) for name in np.load(GOLDEN / "soft_augmentation.npz")["conf_config_names"]]

# The name of a released (or paper-intent) loss -> our chain.
RELEASED = {
    "default": (soft_targets(weight="batch"), kl_divergence()),
    "norw": (soft_targets(weight="none"), kl_divergence()),
    "lrcorr": (soft_targets(weight="none"), kl_divergence()),  # a mean weight divided by itself
    "rw_nosoft": (soft_targets(target=False, weight="batch"), kl_divergence()),
    "norw_nosoft": (soft_targets(target=False, weight="none"), kl_divergence()),
    "persample": (soft_targets(), kl_divergence()),
    "persample_nosoft": (soft_targets(target=False), kl_divergence()),
    "evalint": (kl_divergence(),),
    "ce": (),
    "sce0.1": (label_smoothing(0.1, over="others"), kl_divergence()),
    "sce0.2": (label_smoothing(0.2, over="others"), kl_divergence()),
    "fl1": (focal(1.0),),
    "fl2": (focal(2.0),),
    "fl3": (focal(3.0),),
}


@pytest.mark.parametrize("name", CONFIDENCES)
def test_released_confidence(name, precision):
    """All 20 curves at every pair of offsets: the released code in float32, the closed form in float64."""
    kind, classes, power, threshold, top = name.split("_")
    p = confidence(
        jnp.asarray(golden()["vis_fg"], precision),
        int(classes[1:]),
        power=float(power[1:]),
        threshold=float(threshold[1:]),
        top=float(top[3:]),
        share={"fg": "fraction", "iou": "iou"}[kind],
    )
    assert p.dtype == precision
    key, tolerance = ("conf_", 1e-6) if precision == "float32" else ("conf64_", 1e-12)
    np.testing.assert_allclose(p, golden()[key + name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("name", RELEASED)
def test_released_losses(name, classes):
    """Loss, gradient and targets of one batch under every switch of the released code that we keep."""
    stem = f"st_C{classes}_"
    inputs = inputs_of(golden()[stem + "logits"], golden()[stem + "labels"], golden()[stem + "vis"].astype(np.float32))
    loss, gradient, after = loss_and_gradient(inputs, *RELEASED[name])
    np.testing.assert_allclose(loss, golden()[f"{stem}{name}_loss"], rtol=1e-6)
    np.testing.assert_allclose(gradient, golden()[f"{stem}{name}_grad"], rtol=0, atol=1e-6)
    if f"{stem}{name}_target" in golden():
        # The released code sends p as the fraction of class + 1 - p, which costs up to 3.8e-6 at class 64 and above.
        np.testing.assert_allclose(after.targets, golden()[f"{stem}{name}_target"], rtol=0, atol=4e-6)


@pytest.mark.parametrize("classes", [10, 100])
def test_released_mixup_loss(classes, precision):
    """lam CE(y) + (1 - lam) CE(y of the partner), the partner put in the row before."""
    stem = f"st_C{classes}_mixup_"
    count, partner = 16, golden()[stem + "perm"]
    order = np.stack([partner, np.arange(count)], 1).ravel()
    logits = golden()[f"st_C{classes}_logits"].astype(precision)[order]
    lam = jnp.asarray(golden()[stem + "lam"], precision)
    inputs = inputs_of(logits, golden()[f"st_C{classes}_labels"][order], mix=jnp.full(32, lam))

    def loss_of(logits):
        after = mixed_targets().apply((), inputs.replace(logits=logits))[1]
        return jnp.mean((after.weight * losses.cross_entropy(after.targets, after.logits))[1::2])

    loss, gradient = jax.value_and_grad(loss_of)(inputs.logits)
    np.testing.assert_allclose(loss, golden()[stem + "loss"], rtol=1e-6)
    np.testing.assert_allclose(gradient[1::2], golden()[stem + "grad"], rtol=0, atol=1e-6)


def test_batch_weight_counts_rows_with_a_label():
    inputs, _, p, _ = random_case()
    label = inputs.batch.label.at[2:].set(-1)
    inputs = losses.cross_entropy_inputs(inputs.output, inputs.batch.replace(label=label), {}, HALF)
    after = soft_targets(weight="batch").apply((), inputs)[1]
    np.testing.assert_allclose(after.weight, [p[:2].mean()] * 2 + [0] * 4, rtol=1e-6)
    np.testing.assert_array_equal(after.targets[2:], 0)


def test_divergence():
    """0 for a perfect answer, the gradient of the cross-entropy, finite derivatives where a target is 0."""
    inputs, soft, _, _ = random_case()
    perfect = inputs.replace(logits=jnp.asarray(np.log(soft), jnp.float32))
    loss, _, _ = loss_and_gradient(perfect, soft_targets(weight="none"), kl_divergence())
    np.testing.assert_allclose(loss, 0, atol=1e-6)
    with_it, without = (loss_and_gradient(inputs, soft_targets(), *more)[1] for more in ((kl_divergence(),), ()))
    np.testing.assert_array_equal(with_it, without)
    into_targets = jax.grad(lambda t: losses.mean_loss(kl_divergence().apply((), inputs.replace(targets=t))[1]))
    assert np.isfinite(into_targets(inputs.targets)).all()


def test_symmetric_divergence(precision):
    """1/2 KL(s || p) + 1/2 KL(p || s), with the logits as an earlier transform left them; 0 for a perfect answer."""
    inputs, soft, _, logits = random_case()
    inputs = jax.tree.map(lambda x: x.astype(precision) if jnp.issubdtype(x.dtype, jnp.floating) else x, inputs)
    inputs = inputs.replace(targets=jnp.asarray(soft, precision))
    doubled = losses.stateless(lambda inputs: inputs.replace(logits=2 * inputs.logits))
    p = np.exp(2 * logits) / np.exp(2 * logits).sum(-1, keepdims=True)
    tolerance = {"float32": 1e-6, "float64": 1e-13}[precision]
    loss, gradient, _ = loss_and_gradient(inputs, doubled, kl_divergence(symmetric=True))
    np.testing.assert_allclose(loss, 0.5 * np.mean(((soft - p) * np.log(soft / p)).sum(-1)), rtol=tolerance)
    # dp_j / dz_k = p_j ([j = k] - p_k)
    pull = p - soft + p * (np.log(p / soft) - (p * np.log(p / soft)).sum(-1, keepdims=True))
    np.testing.assert_allclose(gradient, pull / 6, atol=tolerance)
    perfect = inputs.replace(logits=0.5 * jnp.log(inputs.targets))
    np.testing.assert_allclose(loss_and_gradient(perfect, doubled, kl_divergence(True))[0], 0, atol=tolerance)


def test_symmetric_divergence_of_hard_targets():
    """Where a target is 0 its logarithm counts as that of 1e-30: finite value and gradients."""
    inputs, _, _, logits = random_case()
    hard, p = np.asarray(inputs.targets), np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    reverse = (p * (np.log(p) - np.log(np.maximum(hard, 1e-30)))).sum(-1)
    loss, gradient, _ = loss_and_gradient(inputs, kl_divergence(True))
    np.testing.assert_allclose(loss, 0.5 * np.mean(reverse - (hard * np.log(p)).sum(-1)), rtol=1e-5)
    into_targets = jax.grad(lambda t: losses.mean_loss(kl_divergence(True).apply((), inputs.replace(targets=t))[1]))
    assert np.isfinite(gradient).all()
    assert np.isfinite(into_targets(inputs.targets)).all()


@settings(max_examples=50, deadline=None)
@given(
    visible=st.floats(0, 1),
    power=st.floats(0.1, 8),
    threshold=st.floats(0, 1),
    top=st.floats(0.001, 1),
    floor=st.floats(-1, 1),
    share=st.sampled_from(["fraction", "iou"]),
)
def test_confidence_is_a_rising_curve(visible, power, threshold, top, floor, share):
    """From floor where nothing is seen to top where everything is, never falling in between."""
    options = {"power": power, "threshold": threshold, "top": top, "floor": floor, "share": share}
    p = confidence(jnp.asarray([0.0, visible / 2, visible, 1.0]), 10, **options)
    low = 0.1 if floor < 0 else floor
    assert (np.diff(p) >= -1e-6).all()
    np.testing.assert_allclose([p[0], p[-1]], [low, max(top, low)], atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"share": "half"}, {"weight": "all"}, {"power": 0.0}, {"threshold": -1.0}, {"top": 0.0}, {"floor": 1.5}],
)
def test_mistakes(options):
    with pytest.raises(UsageError, match=rf"soft_targets: .*\b{next(iter(options))}\b"):
        soft_targets(**options)
