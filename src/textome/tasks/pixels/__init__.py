"""Tasks about the pixels of images: a model gives maps, and maps become masks or boxes."""
