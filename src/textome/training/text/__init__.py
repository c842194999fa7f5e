"""Training on texts: their data, and the job of an encoder with a head for each task."""
