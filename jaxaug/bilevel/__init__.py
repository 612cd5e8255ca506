"""Derivatives of a validation loss in what describes the training data. Knows no images and no config."""

from jaxaug.bilevel.gradient_matching import cosine, cosine_direction
from jaxaug.bilevel.hypergradient import (
    finite_difference,
    gauss_newton,
    hessian,
    hypergradient,
    mixed_derivative,
    softmax_fisher,
)
from jaxaug.bilevel.ihvp import (
    IHVPProblem,
    IHVPSolver,
    bicgstab,
    conjugate_gradient,
    dense,
    gmres,
    identity,
    neumann,
    unrolled,
)
from jaxaug.bilevel.meta_optimizers import adam, rmsprop
from jaxaug.bilevel.per_example import (
    GatheredRows,
    SearchState,
    SparseRule,
    gather_rows,
    init_per_example,
    scatter_update,
    sparse_adam,
    sparse_normalized_sgd,
    sparse_rmsprop,
)

__all__ = [
    "GatheredRows",
    "IHVPProblem",
    "IHVPSolver",
    "SearchState",
    "SparseRule",
    "adam",
    "bicgstab",
    "conjugate_gradient",
    "cosine",
    "cosine_direction",
    "dense",
    "finite_difference",
    "gather_rows",
    "gauss_newton",
    "gmres",
    "hessian",
    "hypergradient",
    "identity",
    "init_per_example",
    "mixed_derivative",
    "neumann",
    "rmsprop",
    "scatter_update",
    "softmax_fisher",
    "sparse_adam",
    "sparse_normalized_sgd",
    "sparse_rmsprop",
    "unrolled",
]


def __dir__() -> list[str]:
    return __all__
