"""A Rails application with a few hundred assets, made for the occasion.

It tells each file that Sprockets compiles, which it does only where its cache has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kaiun.image import BuildEvent

DOCKERFILE = """\
FROM kaiun-rails:bookworm
WORKDIR /app
COPY . .
CMD ["ruby", "-e", "sleep"]
"""
APPLICATION = """\
require "rails"
require "action_controller/railtie"
require "sprockets/railtie"
require "sassc-rails"

class Told
  def self.call(input)
    puts "compiling #{File.basename(input[:filename])}"
  end
end

class Shop < Rails::Application
  config.root = File.expand_path("..", __dir__)
  config.eager_load = false
  config.logger = Logger.new($stderr, level: Logger::WARN)
  config.assets.precompile = %w[manifest.js]
  config.assets.css_compressor = nil
  config.asset_host = ENV["ASSET_HOST"]
  config.assets.configure do |env|
    %w[text/css application/javascript].each { |type| env.register_preprocessor type, Told }
  end
end
$stdout.sync = true
"""
CONFIG = """\
app: {app}
image: {{repository: {repository}}}
assets:
  command: rake assets:precompile
  cache: tmp/cache/assets
  inputs: [app/assets, config]
  env: {{RAILS_ENV: production}}
processes: {{web: {{command: ruby -e sleep}}}}
environments:
  staging: {{}}
{more}"""
TOLD = re.compile(r"compiling (\S+)")


def application(app: str, repository: str, count: int, more: str = "") -> dict[str, str | bytes]:
    """Return the files of an application with `count` stylesheets and as many scripts.

    Every tenth stylesheet uses the palette.
    """
    files: dict[str, str | bytes] = {
        "Dockerfile": DOCKERFILE,
        "Rakefile": 'require_relative "config/application"\nShop.load_tasks\n',
        "config/application.rb": APPLICATION,
        "config/environment.rb": 'require_relative "application"\nShop.initialize!\n',
        "kaiun.yml": CONFIG.format(app=app, repository=repository, more=more),
        "app/assets/config/manifest.js": "//= link_tree ../stylesheets .css\n"
        "//= link_tree ../javascripts .js\n",
        "app/assets/stylesheets/_palette.scss": palette("#114"),
        "app/models/order.rb": "class Order; end\n",
    }
    for number in range(count):
        files[f"app/assets/stylesheets/part{number}.scss"] = stylesheet(number)
        files[f"app/assets/javascripts/part{number}.js"] = f"console.log({number});\n" * 20
    return files


def stylesheet(number: int, colour: str = "red") -> str:
    """Return the stylesheet of a part."""
    head = '@import "palette";\n' if number % 10 == 0 else ""
    uses = f".n{number} {{ color: $ink; }}\n" if number % 10 == 0 else ""
    rules = "".join(
        f".p{number} {{ .r{rule} {{ color: {colour}; a {{ margin: {rule}px; }} }} }}\n"
        for rule in range(20)
    )
    return head + uses + rules


def palette(ink: str) -> str:
    return f"$ink: {ink};\n"


def compiled(events: Iterable[BuildEvent]) -> set[str]:
    """Return the parts that Sprockets compiled, and did not find in its cache."""
    lines = (TOLD.search(event.line) for event in events if event.phase == "assets")
    return {found[1] for found in lines if found and found[1].startswith("part")}
