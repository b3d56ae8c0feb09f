"""A pytest plugin: moto's decorators leave the engine's keys alone; its account is the engine's."""

from __future__ import annotations

import moto.core
from moto.core.config import default_user_config

from kaiun.local.home import ACCOUNT

default_user_config["core"]["mock_credentials"] = False
vars(moto.core)["DEFAULT_ACCOUNT_ID"] = ACCOUNT
