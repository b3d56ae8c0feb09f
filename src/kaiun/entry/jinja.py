"""Render a `.j2` template by Jinja2, which travels in the zipapp where a template needs it."""

from __future__ import annotations

from kaiun.entry.failure import Failure
from kaiun.entry.variables import Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaiun.entry.steps import Context


class _Env:
    """The variables as Jinja2 sees them: `{{ env.NAME }}`; their use is noted."""

    def __init__(self, context: Context) -> None:
        self.variables = context.variables

    def __getitem__(self, name: str) -> str:
        value = self.variables.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.variables.environ

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables.environ)


def render(text: str, context: Context) -> str:
    """Return the template rendered; `{{ NAME }}` and `{{ env.NAME }}` are variables.

    Raises Missing with the line for an undefined one, Failure for what is wrong otherwise.
    """
    import jinja2
    from jinja2.runtime import Context as Names
    from jinja2.utils import missing

    class Scope(Names):
        def resolve_or_missing(self, key: str) -> object:
            found = super().resolve_or_missing(key)
            if found is missing:
                value = context.variables.get(key)
                return found if value is None else value
            return found

    environment = jinja2.Environment(  # noqa: S701  (configuration files, no HTML)
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    environment.context_class = Scope
    known = {
        "env": _Env(context),
        "environment": context.settings.environment,
        "process": context.process,
    }
    try:
        return environment.from_string(text).render(known)
    except jinja2.UndefinedError as problem:
        raise Missing(_unset(str(problem)), _line(problem)) from None
    except jinja2.TemplateSyntaxError as problem:
        raise Missing(str(problem.message), problem.lineno) from None
    except Exception as problem:  # noqa: BLE001  (a template may raise anything)
        line = _line(problem)
        raise Failure(f"{type(problem).__name__}{f' in line {line}' if line else ''}") from None


def _unset(said: str) -> str:
    """Turn Jinja2's words into ours: "'X' is undefined" → "X is not set"."""
    parts = said.split("'")
    return f"{parts[-2]} is not set" if len(parts) >= 3 else said


def _line(problem: BaseException) -> int:
    trace, line = problem.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
