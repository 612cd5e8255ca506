"""Optimisers and learning-rate schedules, from optax."""
