"""Where the local ECS lives on this machine: its home, its process, its endpoint and keys."""
