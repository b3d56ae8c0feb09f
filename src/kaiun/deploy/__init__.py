"""Carry a plan out: run tasks, roll services, watch, roll back."""
