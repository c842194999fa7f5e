"""Personal data in texts: where they stand, and what may stand there instead."""
