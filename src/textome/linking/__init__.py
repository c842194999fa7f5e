"""From a mention to the concepts that it may name: look-up, near names, composite mentions, the species of genes."""
