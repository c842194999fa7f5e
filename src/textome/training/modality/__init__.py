"""Models of images, sounds, signals, DNA and molecules."""
