"""Merge an environment over the top level; every value keeps the place it came from."""

from __future__ import annotations

from kaiun.config.places import Node, moved

ENVIRONMENTS = "environments"
LOCAL = "local"


def declared(root: Node) -> list[str]:
    """Return the names of the environments; `local` is always there."""
    node = root.get(ENVIRONMENTS)
    return list(dict.fromkeys([LOCAL, *(node.items if node else {})]))


def is_declared(root: Node, name: str) -> bool:
    """Return whether the environment stands in the file."""
    return root.get(ENVIRONMENTS, name) is not None


def selected(root: Node, name: str) -> Node:
    """Return the top level with the environment `name` merged over it."""
    base = moved(root, {key: node for key, node in root.items.items() if key != ENVIRONMENTS})
    overlay = root.get(ENVIRONMENTS, name)
    return merged(base, overlay) if overlay else base


def merged(base: Node, over: Node) -> Node:
    """Return `base` with `over` deep-merged over it.

    Mappings merge key by key; anything else, lists included, is replaced. A null takes the key
    away, as if nobody had written it: its default applies.
    """
    if not isinstance(over.value, dict):
        return over
    if not isinstance(base.value, dict):
        base = moved(over, {})
    members = dict(base.items)
    for key, node in over.items.items():
        if node.value is None:
            members.pop(key, None)
        else:
            members[key] = merged(members.get(key, moved(node, {})), node)
    return moved(base, members)
