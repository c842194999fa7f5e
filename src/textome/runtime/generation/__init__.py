"""Text that a model writes, token by token: one loop for every decoder, whatever computes its logits."""
