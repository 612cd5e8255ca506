"""Learn a weight for every training example from few trusted ones, in plain JAX: wrong labels lose theirs."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import jaxaug as ja

images, labels = load_digits(return_X_y=True)
x, x_val, x_test = jnp.split(jnp.asarray(images / 16, jnp.float32), [600, 800])
y, y_val, y_test = np.split(labels, [600, 800])
random = np.random.default_rng(0)
wrong = random.random(600) < 0.4  # two in five training labels are wrong
given = np.where(wrong, (y + random.integers(1, 10, 600)) % 10, y)


def losses(params, x, y):
    return -jax.nn.log_softmax(x @ params["kernel"] + params["bias"])[jnp.arange(len(y)), y]


def train_loss(params, meta):
    penalty = 1e-3 * sum(jnp.sum(p**2) for p in jax.tree.leaves(params))
    return jnp.mean(jax.nn.sigmoid(meta) * losses(params, x, given)) + penalty


@jax.jit
def step(params, meta):
    for _ in range(10):
        params = jax.tree.map(jnp.subtract, params, jax.grad(train_loss)(params, meta))
    grads, info = ja.bilevel.hypergradient(train_loss, lambda p: jnp.mean(losses(p, x_val, y_val)), params, meta)
    return params, meta - 300 * grads, info["validation_loss"]


params, meta = {"kernel": jnp.zeros((64, 10)), "bias": jnp.zeros(10)}, jnp.zeros(600)
for i in range(61):
    params, meta, loss = step(params, meta)
    if i % 20 == 0:
        accuracy = np.mean(jnp.argmax(x_test @ params["kernel"] + params["bias"], axis=1) == y_test)
        print(f"{i:2d}: validation loss {loss:.2f}, {accuracy:.1%} of the test images right")
