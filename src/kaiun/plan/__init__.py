"""Pure: (Config, Release, Live) → Plan.

`desired(config, release)` renders what kaiun.yml wants, `plan(desired, live)` compares it
with what is live (read by deploy/, see `live.wanted`), `render` shows the result.
"""
