"""Several processes that train together, and weights that are spread over them."""
