"""Models of pixels without PyTorch: what they say of images, and the files that it is written to."""
