"""The training steps that `benchmarks/train_step.py` compares. What is PyTorch's runs in another Python."""
