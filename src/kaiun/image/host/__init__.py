"""A build host over SSH: the pipeline of `kaiun.image.ensure`, run on another machine.

The developer's kaiun starts OpenSSH's client once a run. Behind it, on the host, runs a *worker*:
this same package, sent once a version, in a virtual environment that `kaiun build --setup` made.
Both talk in messages over stdin and stdout (channel). All images of a run share the connection;
when it ends, however it ends, the worker reads the end of its stdin and stops every build.

ssh · connection · site       the developer's side: the program, the messages, the builds
bootstrap · code · package    how the package gets there
worker · delivery             the host's side: builds, and what they are made from
"""
