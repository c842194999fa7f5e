"""Models that give maps of images, for masks and boxes."""
