"""What runs inside the image, as PID 1: steps, then the process.

    main        one start from beginning to end
    settings    start.json: what kaiun.yml's `start:` says, for every environment
    command     which command a container's first word stands for
    steps       require · fetch · secrets · templates · assets · wait · hooks, in the order written
    supervise   `with:`, several processes in one container

Written for Python 3.9 with the standard library alone, of which `python3 -I -S` has loaded next to
nothing: what costs milliseconds to import (re, json, typing, subprocess, dataclasses) is imported
by the step that needs it or not at all. Imports nothing of kaiun outside this package.
"""
