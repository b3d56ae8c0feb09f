"""What the engine does when asked: one module per family of resources.

Importing this package registers every handler.
"""

from kaiun.engine.operations import (
    certificates,
    clusters,
    elb_tags,
    hooks,
    instances,
    listeners,
    load_balancers,
    log_reading,
    logs,
    namespaces,
    protection,
    providers,
    registration,
    rollouts,
    services,
    settings,
    tags,
    target_groups,
    taskdefs,
    tasks,
    tasksets,
)

__all__ = [
    "certificates",
    "clusters",
    "elb_tags",
    "hooks",
    "instances",
    "listeners",
    "load_balancers",
    "log_reading",
    "logs",
    "namespaces",
    "protection",
    "providers",
    "registration",
    "rollouts",
    "services",
    "settings",
    "tags",
    "target_groups",
    "taskdefs",
    "tasks",
    "tasksets",
]
