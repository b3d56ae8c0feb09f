"""What is kept of Cloud Map."""

from __future__ import annotations

from kaiun.engine.store import Store


class Tables:
    """Namespaces, registries (its services) and operations by id; instances by both their ids."""

    def __init__(self, store: Store) -> None:
        self.namespaces = store.table("namespaces")
        self.registries = store.table("registries")
        self.instances = store.table("registered")
        self.operations = store.table("map_operations")  # oldest first
