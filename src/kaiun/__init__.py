"""kaiun: from a git commit to healthy containers on Amazon ECS."""

__version__ = "0.1.0"
