"""Suites that others wrote for other emulators, run against the local ECS: `scripts/foreign`."""
