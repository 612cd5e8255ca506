"""What a trainer does beside training: search, evaluation, checkpoints, stopping, the console."""
