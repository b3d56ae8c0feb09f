"""How long a container's start takes, in the image of the shop's base: ours beside 2016's script.

python -m bench start        (Docker, kaiun-rails:bookworm)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from kaiun.config.loader import every
from kaiun.image import client as clients
from kaiun.image import layer, probe
from kaiun.image.build import Recipe, build
from kaiun.image.events import silent
from kaiun.image.leftovers import plain_name
from kaiun.image.stop import Stop

ROUNDS = 15
GEMFILE = Path(__file__).parents[1] / "examples/shop/Gemfile"
KEY = "ab" * 32
PASSPHRASE = "passphrase"
CONFIG = """\
app: shop
image: {repository: localhost:5000/shop}
start: {}
environments:
  nothing: {}
  ruby:
    start:
      secrets: [{file: vault.yml, to: secrets.yml, format: yaml_vault}]
      templates: [database.yml.erb, sidekiq.yml.erb]
  plain:
    start:
      secrets: [{file: kaiun.yml, to: secrets.yml}]
      templates: [database.yml.tmpl, sidekiq.yml.tmpl]
processes: {duo: {command: sleep 60, with: {a: sleep 60}}}
"""
DATABASE = "production:\n  adapter: postgresql\n  url: {url}\n  pool: {pool}\n"
SIDEKIQ = ":concurrency: {pool}\n:queues: [default]\n"
# Stands for `yaml_vault decrypt`: the same Ruby libraries do PBKDF2, AES-256-CBC, HMAC and YAML.
VAULT_RB = r"""
require "thor"
require "active_support"
require "active_support/message_encryptor"
require "active_support/key_generator"
require "yaml"
key = OpenSSL::PKCS5.pbkdf2_hmac_sha1(ENV.fetch("YAML_VAULT_PASSPHRASE"), "", 65536, 32)
box = ActiveSupport::MessageEncryptor.new(key, key, cipher: "aes-256-cbc", digest: "SHA256")
tree = YAML.load_file("vault.yml")
tree["production"].transform_values! { |value| box.decrypt_and_verify(value) }
File.write("secrets.yml", tree.to_yaml)
"""
DOCKERFILE = """\
FROM kaiun-rails:bookworm
WORKDIR /app
COPY . .
RUN bundle lock --local
"""
SCRIPT_2016 = """\
set -e
ruby -v >/dev/null
erb database.yml.erb >database.yml
erb sidekiq.yml.erb >sidekiq.yml
bundle exec ruby vault.rb
"""
# Runs inside one container, so that Docker's own time stays out: alternately, a line each.
LOOP = """\
import os, sys, time
runs = {
    "bare": (["python3", "-I", "-S", "-c", "pass"], {}),
    "nothing": (["/opt/kaiun/entry", "true"], {"KAIUN_ENVIRONMENT": "nothing"}),
    "plain": (["/opt/kaiun/entry", "true"], {"KAIUN_ENVIRONMENT": "plain"}),
    "ruby": (["/opt/kaiun/entry", "true"], {"KAIUN_ENVIRONMENT": "ruby"}),
    "2016": (["sh", "script.sh"], {}),
}
quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
for number in range(ROUNDS + 1):
    for name, (argv, env) in runs.items():
        began = time.perf_counter()
        pid = os.posix_spawnp(argv[0], argv, {**os.environ, **env}, file_actions=quiet)
        _, status, used = os.wait4(pid, 0)
        if status: sys.exit(f"{name}: {status}")
        wall = time.perf_counter() - began
        if number: print(name, wall, used.ru_utime + used.ru_stime)
"""


def run() -> list[tuple[str, str, str]]:
    """Return (name, measured, limit) for each figure."""
    with tempfile.TemporaryDirectory(prefix="kaiun-bench-") as folder:
        root = Path(folder)
        name = _image(root)
        try:
            times = _times(name)
            rss = _supervisor_mib(name)
        finally:
            subprocess.run(["docker", "image", "rm", name], capture_output=True, check=False)
    wall, cpu = ({name: each[kind] for name, each in times.items()} for kind in (0, 1))
    then = wall["2016"]
    return [
        ("start: 2016's script, 2 ERB, 14 secrets", _both(then, cpu["2016"]), "—"),
        ("start: ours, the same", _both(wall["ruby"], cpu["ruby"]), f"≤ {then / 8:.0f} ms (1/8)"),
        ("start: .tmpl, kaiun's vault, above python3", _above("plain", wall, cpu), "≤ 60 ms"),
        ("start: no steps, above python3", _above("nothing", wall, cpu), "≤ 10 ms"),
        ("start: python3 -I -S -c pass", _both(wall["bare"], cpu["bare"]), "—"),
        ("start: supervisor of two, resident", f"{rss:.1f} MiB", "≤ 12 MB"),
    ]


def _both(wall: float, cpu: float) -> str:
    """Return wall time, and CPU time, which a busy machine changes less."""
    return f"{wall:.0f} ms (CPU {cpu:.0f})"


def _above(name: str, wall: dict[str, float], cpu: dict[str, float]) -> str:
    return _both(wall[name] - wall["bare"], cpu[name] - cpu["bare"])


def _image(root: Path) -> str:
    files = {
        "database.yml.erb": DATABASE.format(url='<%= ENV["U"] %>', pool='<%= ENV["P"] || 5 %>'),
        "sidekiq.yml.erb": SIDEKIQ.format(pool='<%= ENV.fetch("P", 5) %>'),
        "database.yml.tmpl": DATABASE.format(url="${U}", pool="${P:-5}"),
        "sidekiq.yml.tmpl": SIDEKIQ.format(pool="${P:-5}"),
        "vault.rb": VAULT_RB,
        "script.sh": SCRIPT_2016,
        "Gemfile": GEMFILE.read_text(),  # `bundle exec` sets up all that the app has
        "loop.py": LOOP.replace("ROUNDS", str(ROUNDS)),
        "Dockerfile": DOCKERFILE,
    }
    for path, text in files.items():
        (root / path).write_text(text)
    for path, form in (("vault.yml", "yaml_vault"), ("kaiun.yml", "kaiun")):
        secrets = "".join(f"  secret_{n}: value-{n}-{'x' * 24}\n" for n in range(14))
        (root / path).write_text("production:\n" + secrets)
        _kaiun("secrets", "encrypt", "--format", form, "-k", "$.production", str(root / path))
    config = root / "config"
    config.mkdir()
    (config / "kaiun.yml").write_text(CONFIG)
    client, stop, plain = clients.find(), Stop(), plain_name(root, "bench")
    name = f"kaiun-bench-start:{root.name[-8:]}".lower()
    configs = every(config / "kaiun.yml")
    try:
        build(client, Recipe(plain, root, "Dockerfile", {}), progress=silent, stop=stop)
        layering = layer.Layering(client, silent, stop, configs, "0" * 40)
        layer.add(layer.look(plain, layering), Recipe(name, root, "Dockerfile", {}), layering)
    finally:
        probe.untag(client, plain)
    return name


def _kaiun(*words: str) -> None:
    import sys

    program = Path(sys.executable).parent / "kaiun"
    subprocess.run([str(program), *words], env=_environ(), check=True, capture_output=True)


def _environ() -> dict[str, str]:
    return {**os.environ, "KAIUN_SECRETS_KEY": KEY, "YAML_VAULT_PASSPHRASE": PASSPHRASE}


def _times(image: str) -> dict[str, tuple[float, float]]:
    """Return the medians of wall and CPU time of each kind, in milliseconds."""
    variables = {
        "U": "postgres://u@h/d",
        "YAML_VAULT_PASSPHRASE": PASSPHRASE,
        "KAIUN_SECRETS_KEY": KEY,
    }
    given = [f"--env={name}={value}" for name, value in variables.items()]
    argv = ["docker", "run", "--rm", *given, "--entrypoint=python3", image, "loop.py"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found: dict[str, list[tuple[float, float]]] = {}
    for line in done.stdout.splitlines():
        name, wall, cpu = line.split()
        found.setdefault(name, []).append((float(wall) * 1000, float(cpu) * 1000))
    return {name: _medians(each) for name, each in found.items()}


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*pairs, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def _supervisor_mib(image: str) -> float:
    """Return the resident memory of the supervisor of two processes."""
    argv = ["docker", "run", "--detach", "--rm", image, "duo"]
    container = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        for _ in range(100):
            look = ["docker", "exec", container, "cat", "/proc/1/cmdline", "/proc/1/status"]
            said = subprocess.run(look, check=True, capture_output=True, text=True).stdout
            if "kaiun:supervise" in said:
                break
        line = next(line for line in said.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)


if __name__ == "__main__":
    for name, measured, limit in run():
        print(f"{name:60} {measured:>10}   {limit}")
