"""Soft Augmentation in a training loop of plain JAX: digits moved over the edge ask for softer targets."""

import jax
import optax
from sklearn.datasets import load_digits

from jaxaug import losses

x, y = map(jax.numpy.asarray, load_digits(return_X_y=True))  # the last 397 of the 1797 are the test
key, optimizer = jax.random.key(0), optax.adam(1e-2)
params = {"body": jax.random.normal(key, (64, 256)) / 8, "head": jax.random.normal(key, (256, 10)) / 16}
loss = losses.chain(losses.soft_targets(power=2.0), losses.kl_divergence())
state = params, optimizer.init(params), loss.init(num_classes=10)


def model(params, x):
    return jax.nn.relu(x / 16 @ params["body"]) @ params["head"]


@jax.jit
def train_step(state, step):
    params, opt_state, loss_state = state
    at, *offset = jax.random.randint(jax.random.fold_in(key, step), (3, 128), 0, 1400)
    offset = jax.numpy.stack(offset, axis=1) % 3 - 1  # by at most one pixel
    padded = jax.numpy.pad(x[at].reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moved = jax.vmap(lambda image, start: jax.lax.dynamic_slice(image, start, (8, 8)))(padded, 1 + offset)
    visible = jax.numpy.prod(8 - abs(offset), axis=1) / 64  # the share of each image that is still seen

    def loss_of(params):
        logits = model(params, moved.reshape(-1, 64))
        return losses.apply(loss, loss_state, logits=logits, labels=y[at], visible=visible)

    grads, loss_state = jax.grad(loss_of, has_aux=True)(params)
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(params, updates), opt_state, loss_state


for step in range(600):
    state = train_step(state, step)
print(f"test accuracy {(model(state[0], x[1400:]).argmax(-1) == y[1400:]).mean():.3f}")
