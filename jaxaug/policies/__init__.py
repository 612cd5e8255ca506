"""A policy as data: what may happen to an image, with which probability and how strongly."""
