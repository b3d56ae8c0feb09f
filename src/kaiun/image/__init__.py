"""A git revision becomes an image in a registry."""
