"""A T5 that learns tasks as texts: from a source to a target."""
