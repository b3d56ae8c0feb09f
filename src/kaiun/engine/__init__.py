"""The local ECS: an AWS-compatible endpoint on loopback whose tasks are real containers."""
