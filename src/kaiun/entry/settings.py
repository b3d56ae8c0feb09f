"""Read start.json and choose the part of this environment.

    {"format": 1, "app": "shop", "workdir": "/app", "entrypoint": […], "command": […],
     "environments": {"": 0, "local": 0, "staging": 1},
     "settings": [{"steps": [["require", [{"name": "RAILS_ENV"}]], …],
                   "processes": {"web": {"command": […] | null, "with": […], "stop_timeout": 30}},
                   "tasks": {"migrate": {"command": […]}},
                   "secret": ["DATABASE_URL"], "keys": ["RAILS_MASTER_KEY"],
                   "console": […] | null, "directory": "/run/kaiun" | null, "region": …}]}

`""` is a container that nobody told its environment: `docker run IMAGE`. Items of steps carry
`processes` where `when:` names some; other environments' items are left out by who writes the file.
"""

from __future__ import annotations

from kaiun.entry.failure import SETTINGS, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Item = dict[str, Any]

FORMAT = 1
# JSON as kaiun writes it is Python's grammar of literals plus three names. The file belongs to
# root, as this program does; `json` would cost 7 ms and is missing in python3-minimal.
NAMES = {"__builtins__": {}, "true": True, "false": False, "null": None}


class Settings:
    """What start.json says for one environment."""

    def __init__(self, document: Item, environment: str) -> None:
        if document.get("format") != FORMAT:
            raise Failure(f"start.json has format {document.get('format')}, not {FORMAT}")
        known = document["environments"]
        if environment not in known:
            names = ", ".join(sorted(name for name in known if name)) or "none"
            raise Failure(
                f"KAIUN_ENVIRONMENT is {environment!r}, the image knows: {names}", code=SETTINGS
            )
        chosen: Item = document["settings"][known[environment]]
        self.environment = environment
        self.app: str = document["app"]
        self.workdir: str = document["workdir"]
        self.entrypoint: list[str] = document["entrypoint"]
        self.image_command: list[str] = document["command"]
        self.steps: list[tuple[str, list[Item]]] = chosen["steps"]
        self.processes: dict[str, Item] = chosen["processes"]
        self.tasks: dict[str, Item] = chosen["tasks"]
        self.secret: list[str] = chosen["secret"]
        self.keys: list[str] = chosen["keys"]
        self.console: list[str] | None = chosen["console"]
        self.region: str = chosen["region"]

    def steps_of(self, process: str) -> list[tuple[str, list[Item]]]:
        """Return the steps that apply to a process, those without any item left out."""
        kept = [
            (kind, [item for item in items if applies(item, process)]) for kind, items in self.steps
        ]
        return [(kind, items) for kind, items in kept if items]


def applies(item: Item, process: str) -> bool:
    """Return whether an item's `when:` includes the process."""
    return "processes" not in item or process in item["processes"]


def read(path: str) -> Item:
    """Return the content of start.json. Raises Failure."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        document = eval(compile(text, path, "eval"), dict(NAMES))  # noqa: S307
    except OSError as problem:
        raise Failure(f"{path} cannot be read: {problem.strerror}") from None
    except (SyntaxError, ValueError, NameError):
        raise Failure(f"{path} is not what kaiun wrote") from None
    if not isinstance(document, dict):
        raise Failure(f"{path} is not what kaiun wrote")
    return document
