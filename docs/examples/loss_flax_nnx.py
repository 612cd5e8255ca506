"""ISDA in a training loop of Flax NNX and optax, on scikit-learn's digits; `# isda` marks what it adds or changes."""

import jax
import optax
from flax import nnx
from sklearn.datasets import load_digits

from jaxaug import losses  # isda

x, y = map(jax.numpy.asarray, load_digits(return_X_y=True))  # the last 397 of the 1797 are the test
key, optimizer = jax.random.key(0), optax.adam(3e-3)
rngs = nnx.Rngs(0)
model = nnx.Sequential(nnx.Linear(64, 128, rngs=rngs), nnx.relu, nnx.Linear(128, 10, rngs=rngs))
network, params = nnx.split(model)
loss = losses.isda(strength=0.5, covariance="full")  # isda
state = params, optimizer.init(params), loss.init(num_classes=10, num_features=128)  # isda


@jax.jit
def train_step(state, step):
    params, opt_state, loss_state = state  # isda

    def loss_of(params):
        body, relu, head = nnx.merge(network, params).layers
        at = jax.random.choice(jax.random.fold_in(key, step), 1400, (128,))
        f = relu(body(x[at] / 16))
        z, w = head(f), head.kernel[...]  # isda
        return losses.apply(loss, loss_state, features=f, logits=z, kernel=w, labels=y[at], progress=step / 400)  # isda

    grads, loss_state = jax.grad(loss_of, has_aux=True)(params)  # isda
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(params, updates), opt_state, loss_state  # isda


for step in range(400):
    state = train_step(state, step)
print(f"test accuracy {(nnx.merge(network, state[0])(x[1400:] / 16).argmax(-1) == y[1400:]).mean():.3f}")
