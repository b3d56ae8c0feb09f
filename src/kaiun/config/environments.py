"""Merge an environment over the top level; every value keeps the place it came from."""

from __future__ import annotations

from kaiun.config.places import Node, moved

ENVIRONMENTS = "environments"
LOCAL = "local"


def declared(root: Node) -> list[str]:
    """Return the names of the environments in the file, and always `local`."""
    node = root.items.get(ENVIRONMENTS)
    names = list(node.items) if node else []
    return names if LOCAL in names else [LOCAL, *names]


def selected(root: Node, name: str) -> Node:
    """Return the top level with the environment `name` merged over it."""
    base = moved(root, {key: node for key, node in root.items.items() if key != ENVIRONMENTS})
    overlay = root.get(ENVIRONMENTS, name)
    return (
        merged(base, overlay) if overlay and isinstance(overlay.value, dict) else merged(base, base)
    )


def merged(base: Node, over: Node) -> Node:
    """Return `base` with `over` deep-merged over it.

    Mappings merge key by key; anything else, lists included, is replaced. A null takes the key
    away, as if nobody had written it: its default applies.
    """
    if not isinstance(over.value, dict):
        return over
    members = dict(base.items)
    for key, node in over.value.items():
        if node.value is None:
            members.pop(key, None)
        elif key in members:
            members[key] = merged(members[key], node)
        else:
            members[key] = merged(moved(node, {}), node)
    return moved(over if over.key else base, members)
