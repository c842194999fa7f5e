"""Images of which each pixel counts: read whole, in tiles, with masks and boxes."""
