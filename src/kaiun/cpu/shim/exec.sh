#!/bin/sh
# Runs the words of a RUN in exec form.
# shellcheck source=/dev/null
. /dev/kaiun/on
exec "$@"
