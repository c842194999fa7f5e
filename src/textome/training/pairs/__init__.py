"""Training on pairs of two things."""
