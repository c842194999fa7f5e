"""BERT (Devlin et al. 2019) and its kin."""
