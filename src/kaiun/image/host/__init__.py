"""A build host over SSH: the pipeline of `kaiun.image.ensure`, run on another machine.

The developer's kaiun starts OpenSSH's client once a run. Behind it, on the host, runs a *worker*:
this same package, sent once a version, in a virtual environment that `kaiun build --setup` made.
Both talk in messages over stdin and stdout (channel). All images of a run share the connection;
when it ends, however it ends, the worker reads the end of its stdin and stops every build.

ssh · connection · line     the developer's side: the program, the messages, one connection
site · answers · registry   what is asked of the host, and what it asks back
bootstrap · code            how the package gets there
worker · job · doings       the host's side: what it is asked to do
delivery · watching         what a build is made from there; following another's build
setup · condition           preparing a host, checking it
pushes · pushed             the repository whose pushes are built
"""
