"""Print the local ECS's address and keys so that a shell, or any AWS client, can use them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaiun.local.home import LocalEnv


def export_lines(env: LocalEnv) -> list[str]:
    """Return lines for `eval "$(kaiun local env)"`; a stale session token would break signing."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in env.variables().items()]
    return [*exports, "unset AWS_SESSION_TOKEN AWS_PROFILE"]
