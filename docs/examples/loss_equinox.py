"""ISDA in a training loop of Equinox and optax, on scikit-learn's digits; `# isda` marks what it adds or changes."""

import equinox as eqx
import jax
import optax
from sklearn.datasets import load_digits

from jaxaug import losses  # isda

x, y = map(jax.numpy.asarray, load_digits(return_X_y=True))  # the last 397 of the 1797 are the test
keys, optimizer = jax.random.split(jax.random.key(0)), optax.adam(3e-3)
model = eqx.nn.Linear(64, 128, key=keys[0]), eqx.nn.Linear(128, 10, key=keys[1])
loss = losses.isda(strength=0.5, covariance="full")  # isda
state = model, optimizer.init(eqx.filter(model, eqx.is_array)), loss.init(num_classes=10, num_features=128)  # isda


def features_and_logits(model, x):
    features = jax.nn.relu(jax.vmap(model[0])(x / 16))
    return features, jax.vmap(model[1])(features)


@eqx.filter_jit
def train_step(state, step):
    model, opt_state, loss_state = state  # isda

    def loss_of(model):
        at = jax.random.choice(jax.random.fold_in(keys[0], step), 1400, (128,))
        (f, z), w = features_and_logits(model, x[at]), model[1].weight.T  # isda
        return losses.apply(loss, loss_state, features=f, logits=z, kernel=w, labels=y[at], progress=step / 400)  # isda

    grads, loss_state = eqx.filter_grad(loss_of, has_aux=True)(model)  # isda
    updates, opt_state = optimizer.update(grads, opt_state)
    return eqx.apply_updates(model, updates), opt_state, loss_state  # isda


for step in jax.numpy.arange(400):
    state = train_step(state, step)
print(f"test accuracy {(features_and_logits(state[0], x[1400:])[1].argmax(-1) == y[1400:]).mean():.3f}")
