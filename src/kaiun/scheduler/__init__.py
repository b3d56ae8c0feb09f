"""The pure ECS service scheduler: (state, clock) → actions. No I/O, no clock of its own."""
