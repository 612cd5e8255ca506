"""Methods that learn what describes the training data: AutoDO, DADA, DeepAA."""
