"""Test-time protocols: what is done to test images, at which levels, and the figure that sums them up."""
