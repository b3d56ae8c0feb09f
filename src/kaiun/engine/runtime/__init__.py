"""What makes a task real: Docker, or nothing at all (null)."""
