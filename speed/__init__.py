"""Speed: the training loop compiled, and a benchmark of it against what others would use."""
