"""What readers of formats share: sources, archives, compression, offsets, and checked values."""
