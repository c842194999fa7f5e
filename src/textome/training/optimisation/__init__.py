"""How weights change: gradients, the optimiser, the course of the epochs, checkpoints."""
