"""What the engine does when asked: one module per family of resources.

Importing this package registers every handler.
"""

from kaiun.engine.operations import clusters, rollouts, services, taskdefs, tasks

__all__ = ["clusters", "rollouts", "services", "taskdefs", "tasks"]
