"""Render every ERB template in one Ruby process of the image's own.

A `<%= … %>` that comes to nil because a variable is not set is an error that names the variable;
so is `#{ENV["X"]}` with X not set. Gems are switched off, which halves Ruby's start; a template
that requires one gets a second process in which they are on.
"""

from __future__ import annotations

from kaiun.entry import child
from kaiun.entry.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaiun.entry.steps import Context
    from kaiun.entry.templates import Page

FAST = ("ruby", "--disable=gems")
WITH_GEMS = ("ruby",)
NEEDS_GEMS = 75
PROGRAM = r"""
require "erb"
answers = STDOUT.dup
STDOUT.reopen(STDERR)
module Kaiun
  USED, MISSING = [], []
  module Noting
    def [](name)
      value = super
      USED << name
      MISSING << name if value.nil?
      value
    end
    def fetch(name, *rest, &block)
      USED << name
      super
    end
    def to_h(*)
      USED.concat(keys)
      super
    end
    def values_at(*names)
      USED.concat(names)
      super
    end
  end
  class Missing < StandardError; end
  class Compiler < ERB::Compiler
    def add_insert_cmd(out, content)
      out.push("#{@insert_cmd}(::Kaiun.shown((#{content})).to_s)")
    end
  end
  class Template < ERB
    def make_compiler(trim_mode)
      Compiler.new(trim_mode)
    end
  end
  def self.shown(value)
    raise Missing, "#{MISSING.last} is not set" if value.nil? && MISSING.any?
    value
  end
end
ENV.singleton_class.prepend(Kaiun::Noting)
STDIN.binmode.read.split("\0").each_slice(3).with_index do |(name, source, target), index|
  Kaiun::USED.clear
  Kaiun::MISSING.clear
  failed = nil
  begin
    text = File.read(source, encoding: "UTF-8")
    text = text.gsub(/\#\{\s*ENV\[(["'])(\w+)\1\]\s*\}/) { '#{ENV.fetch("' + $2 + '")}' }
    template = Kaiun::Template.new(text, trim_mode: "-")
    template.filename = name
    done = template.result(TOPLEVEL_BINDING.dup)
    File.binwrite(target, done)
    answers.puts "used #{index} #{Kaiun::USED.uniq.join(" ")}"
  rescue LoadError, NameError => problem
    exit!(75) unless defined?(Gem)
    failed = problem
  rescue Exception => problem
    failed = problem
  end
  if failed
    unset = failed.is_a?(KeyError) && failed.receiver.equal?(ENV)
    why = unset ? "#{failed.key} is not set" : failed.message
    why = "#{why} (#{failed.class})" unless unset || failed.is_a?(Kaiun::Missing)
    place = (failed.backtrace || []).find { |frame| frame.start_with?("#{name}:") }
    line = place ? place[name.size + 1..].to_i : 0
    answers.puts "fail #{index} #{line} #{why.split.join(" ")}"
    answers.flush
    exit!(1)
  end
end
answers.flush
exit!(0)
"""


def render(pages: Sequence[Page], context: Context) -> None:
    """Fill the staged file of each page. Raises Failure with template, line and reason."""
    given = "\0".join(part for page in pages for part in (page.name, page.source, page.staged.path))
    ended = _run(FAST, given, context)
    if ended.code == NEEDS_GEMS:
        ended = _run(WITH_GEMS, given, context)
    for line in ended.said.decode("utf-8", "replace").splitlines():
        kind, index, rest = [*line.split(" ", 2), "", ""][:3]
        page = pages[int(index)]
        if kind == "used":
            page.secret = not context.variables.secret.isdisjoint(rest.split())
        elif kind == "fail":
            number, _, why = rest.partition(" ")
            place = f":{number}" if number != "0" else ""
            raise Failure(why, item=page.name + place)
    if ended.code:
        raise Failure(f"ruby {ended.words()}")


class _Ahead:
    """A Ruby that was started ahead of its turn, and the environment that it was given."""

    begun: child.Begun | None = None
    environ: dict[str, str] = {}  # noqa: RUF012


def ahead(context: Context) -> None:
    """Start Ruby now, so that it loads while the steps before the templates do their work."""
    environ = _environ(context)
    try:
        _Ahead.begun = child.begin([*FAST, "-e", PROGRAM], environ, feed=True, listen=1)
        _Ahead.environ = environ
    except OSError:
        return  # render() will say so


def _environ(context: Context) -> dict[str, str]:
    environ = context.environ()
    environ.pop("RUBYOPT", None)
    return environ


def _run(ruby: Sequence[str], given: str, context: Context) -> child.Ended:
    environ = _environ(context)
    data = given.encode("utf-8", "surrogateescape")
    begun, _Ahead.begun = _Ahead.begun, None
    if begun and environ == _Ahead.environ:
        return begun.finish(data)
    if begun:
        begun.close()  # it reads the end of its input, and ends
    try:
        return child.run([*ruby, "-e", PROGRAM], environ, given=data, listen=1)
    except FileNotFoundError:
        raise Failure("the image has no ruby to render .erb templates") from None
    except OSError as problem:
        raise Failure(f"ruby cannot be run: {problem.strerror}") from None
