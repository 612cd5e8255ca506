"""A run from a config: experiment, steps, trainer, hooks."""
