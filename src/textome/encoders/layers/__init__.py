"""What architectures are built of, in PyTorch, over packed tokens."""
