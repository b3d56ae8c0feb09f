"""The only door to AWS: `session.connect(config)` gives an `Aws` with typed, counted calls."""
