"""Searches: how what describes the training data (`types.Hyper`) is learned."""
