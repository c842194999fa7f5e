"""TransUNet (Chen et al. 2021): convolutions halve an image, a Transformer reads what is left as patches, and a decoder
doubles it again, with what each halving had seen beside it. It gives maps: numbers for each pixel.
"""

MODEL_TYPE = "textome-transunet"
# Pixels along a side of a patch, the token of the Transformer: three halvings.
PATCH = 8
# Channels are normalised in so many groups.
GROUPS = 8
EPSILON = 1e-5
