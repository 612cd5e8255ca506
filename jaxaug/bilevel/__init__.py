"""Derivatives of a validation loss in what describes the training data. Knows no images and no config."""
