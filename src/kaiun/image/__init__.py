"""A git revision becomes an image in a registry.

resolve(directory, rev)            a revision becomes one commit
ensure_all(config, revision, …)    every image that the configuration needs, built where missing
find_all(config, revision, …)      the same without building: None where an image is missing
ensure(source, revision, …)        one image
"""

from kaiun.image.credentials import Credentials, CredentialSource, ecr
from kaiun.image.ensure import Built, Workshop, ensure, find
from kaiun.image.events import BuildEvent, Progress
from kaiun.image.images import app_source, ensure_all, find_all, wanted
from kaiun.image.pin import pin
from kaiun.image.registry import Registry
from kaiun.image.revision import Revision, resolve, tree_sha
from kaiun.image.source import Source
from kaiun.image.stop import Stop

__all__ = [
    "BuildEvent",
    "Built",
    "CredentialSource",
    "Credentials",
    "Progress",
    "Registry",
    "Revision",
    "Source",
    "Stop",
    "Workshop",
    "app_source",
    "ecr",
    "ensure",
    "ensure_all",
    "find",
    "find_all",
    "pin",
    "resolve",
    "tree_sha",
    "wanted",
]
