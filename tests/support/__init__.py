"""Tools that several suites share: a load generator, a git repository maker."""
