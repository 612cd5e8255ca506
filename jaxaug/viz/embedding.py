"""Features in a plane: which rows are alike to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.viz.figure import new_figure

MOST_NAMED = 20  # classes that a legend can tell apart
PERPLEXITY = 30.0  # scikit-learn's; the rows have to be more than three times as many
FEWEST = 4


def tsne(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """[N 2]: features [N D] in a plane by t-SNE (van der Maaten and Hinton 2008), scikit-learn's.

    Begins with the first two principal components. Raises UsageError for fewer than 4 rows.
    """
    if len(features) < FEWEST:
        raise UsageError(f"t-SNE needs at least {FEWEST} rows, got {len(features)}")
    from sklearn.manifold import TSNE  # slow to import, and only here
    from threadpoolctl import threadpool_limits

    begin = "pca" if features.shape[1] > 1 else "random"
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    # Its threads wait for each other at every turn: on a busy machine they take ten times as long as one alone.
    with threadpool_limits(1):
        return TSNE(init=begin, perplexity=perplexity, random_state=seed).fit_transform(features)


def embedding(points: np.ndarray, label: np.ndarray, names: Sequence[str]) -> Any:
    """The Figure of points [N 2], coloured by their class: label int [N], names of the K classes."""
    import matplotlib

    few = len(names) <= 10
    colours = matplotlib.colormaps["tab10" if few else "tab20" if len(names) <= MOST_NAMED else "turbo"]
    figure = new_figure(7.5 if len(names) <= MOST_NAMED else 6, 6)
    axis = figure.subplots()
    if len(names) <= MOST_NAMED:
        for i, name in enumerate(names):
            x, y = points[label == i].T
            axis.scatter(x, y, s=6, color=colours(i), label=name)
        figure.legend(loc="outside right upper", markerscale=3, fontsize=8)
    else:
        drawn = axis.scatter(*points.T, s=6, c=label, cmap=colours, vmin=0, vmax=len(names) - 1)
        figure.colorbar(drawn, ax=axis, label="class")
    axis.set(xticks=[], yticks=[], title=f"t-SNE of the features of {len(points)} rows")
    return figure
