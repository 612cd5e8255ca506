"""Features in a plane: which rows are alike to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.viz.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NAMED = 20  # classes that a legend can tell apart
PERPLEXITY = 30.0  # scikit-learn's; the rows have to be more than three times as many
FEWEST_ROWS = 4


def tsne(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Features in a plane by t-SNE (van der Maaten and Hinton 2008), as scikit-learn computes it.

    It begins with the first two principal components.

    Args:
      features: float [N, D], at least 4 rows.
      seed: of what is random in it; the same seed gives the same points.

    Returns:
      Points, float32 [N, 2].

    Raises:
      UsageError: fewer than 4 rows.
    """
    if len(features) < FEWEST_ROWS:
        raise UsageError(f"tsne: it needs at least {FEWEST_ROWS} rows, got {len(features)}")
    from sklearn.manifold import TSNE  # slow to import, and only here
    from threadpoolctl import threadpool_limits

    begin = "pca" if features.shape[1] > 1 else "random"
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    # Its threads wait for each other at every turn: on a busy machine they take ten times as long as one alone.
    with threadpool_limits(1):
        return TSNE(init=begin, perplexity=perplexity, random_state=seed).fit_transform(features)


def embedding(points: np.ndarray, label: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Points of rows in a plane, colored by class; a legend of up to 20 classes, a color bar of more.

    Args:
      points: float [N, 2], for example of `tsne`.
      label: int [N], 0..K-1.
      class_names: of the K classes.
    """
    import matplotlib

    few = len(class_names) <= 10
    colors = matplotlib.colormaps["tab10" if few else "tab20" if len(class_names) <= MOST_NAMED else "turbo"]
    figure = new_figure(7.5 if len(class_names) <= MOST_NAMED else 6, 6)
    axis = figure.subplots()
    if len(class_names) <= MOST_NAMED:
        for i, name in enumerate(class_names):
            x, y = points[label == i].T
            axis.scatter(x, y, s=6, color=colors(i), label=name)
        figure.legend(loc="outside right upper", markerscale=3, fontsize=8)
    else:
        x, y = points.T
        drawn = axis.scatter(x, y, s=6, c=label, cmap=colors, vmin=0, vmax=len(class_names) - 1)
        figure.colorbar(drawn, ax=axis, label="class")
    axis.set(xticks=[], yticks=[], title=f"t-SNE of the features of {len(points)} rows")
    return figure
