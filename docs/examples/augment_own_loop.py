"""Soft Augmentation in a plain JAX loop: crops that move images out of sight, targets that soften with what is left."""

import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits

import jaxaug as ja

digits = load_digits()
images, labels = (digits.images[..., None] * 15.9).astype("uint8"), jnp.asarray(digits.target)
mean, std = (images.mean() / 255,), (images.std() / 255,)
augment = ja.augment.compose(mean=mean, std=std, after=[ja.augment.soft_crop(sigma=0.3, relative=True)])
loss = ja.losses.soft_targets()
loss_state = loss.init(num_classes=10, num_features=64)
params = {"kernel": jnp.zeros((64, 10)), "bias": jnp.zeros(10)}
tx, steps = optax.adam(3e-3), 85
opt_state = tx.init(params)


@jax.jit
def train_step(params, opt_state, loss_state, key, images, labels, progress):
    seen = augment(key, images, labels, progress=progress)

    def objective(params):
        logits = seen.images.reshape(len(labels), -1) @ params["kernel"] + params["bias"]
        return ja.losses.apply(loss, loss_state, logits=logits, labels=labels, visible=seen.visible, progress=progress)

    (value, loss_state), grads = jax.value_and_grad(objective, has_aux=True)(params)
    updates, opt_state = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss_state, value, seen.visible.mean()


for step in range(steps):
    key = jax.random.fold_in(jax.random.key(0), step)
    rows = jax.random.choice(jax.random.fold_in(key, 1), len(images), (64,))
    batch = (jnp.asarray(images)[rows], labels[rows], step / steps)
    params, opt_state, loss_state, value, visible = train_step(params, opt_state, loss_state, key, *batch)
    if step % 28 == 0:
        print(f"step {step}: loss {value:.3f}, of an image {visible:.0%} is seen on average")
