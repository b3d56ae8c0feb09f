"""Hold the session that the aws CLI hands over, at this terminal.

Arguments: the session as JSON, region, StartSession, profile, parameters, endpoint; without any it
is only asked whether it is there. Source: session-manager-plugin, ValidateInputAndStartSession.
"""

from __future__ import annotations

import json
import sys

from kaiun.session.line import hold
from kaiun.session.terminal import Terminal
from kaiun.session.ticket import ticket


def main(arguments: list[str]) -> None:
    if not arguments:
        return
    response, _region, operation, _profile, _parameters, _endpoint = arguments
    assert operation == "StartSession"
    face = Terminal(lambda data: data)
    with face.raw():
        said = hold(ticket(json.loads(response)), face)
    sys.stdout.write(f"\nExiting session. {said}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
