"""The routes beside those of annotation, and what all routes share."""
