"""The architectures in PyTorch, over packed tokens. Pure maths: no files, no labels, no command line."""
