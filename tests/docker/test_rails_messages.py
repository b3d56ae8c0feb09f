"""What kaiun encrypts, Rails itself opens: ActiveSupport in the base image with Ruby."""

from __future__ import annotations

import json
import subprocess

import pytest

from kaiun.entry.vault.document import Document
from kaiun.secrets import make

IMAGE = "kaiun-rails:bookworm"
LENGTHS = {"aes-128-cbc": 16, "aes-192-gcm": 24, "aes-256-cbc": 32, "aes-256-ctr": 32,
           "aes-256-cfb": 32, "aes-256-gcm": 32, "chacha20-poly1305": 32}  # fmt: skip
KEYS = {
    "YAML_VAULT_PASSPHRASE": "合言葉",
    "YAML_VAULT_SIGN_PASSPHRASE": "sign",
    "RAILS_MASTER_KEY": "5" * 32,
}
TEXT = "a: hello\nb: 'お守り🎴'\nc: |\n  x\n  y\nd: ''\ne: !tag v\n"
RUBY = """
require "active_support"; require "active_support/message_encryptor"; require "json"
require "active_support/key_generator"; require "active_support/encrypted_file"
given = JSON.parse(STDIN.read)
opened = given["values"].map do |cipher, length, values|
  key = ActiveSupport::KeyGenerator.new(given["passphrase"]).generate_key("salt", length)
  sign = ActiveSupport::KeyGenerator.new(given["sign"]).generate_key("salt", 64)
  encryptor = ActiveSupport::MessageEncryptor.new(key, sign, cipher: cipher, digest: "SHA256")
  values.map { |value| encryptor.decrypt_and_verify(value) }
end
File.binwrite("/tmp/c.yml.enc", given["credentials"]); File.write("/tmp/key", given["key"])
file = ActiveSupport::EncryptedFile.new(content_path: "/tmp/c.yml.enc", key_path: "/tmp/key",
                                        env_key: "NONE", raise_if_missing_key: true)
puts JSON.dump([opened, file.read])
"""


@pytest.mark.docker
def test_rails_opens_what_kaiun_encrypts() -> None:
    if subprocess.run(["docker", "image", "inspect", IMAGE], check=False,
                      capture_output=True).returncode:  # fmt: skip
        pytest.skip(f"no image {IMAGE}")
    values = []
    for cipher, length in LENGTHS.items():
        sealed = make("yaml_vault", KEYS, {"cipher": cipher, "salt": "salt"}).encrypt(TEXT.encode())
        values.append((cipher, length, [one.value for one in Document(sealed.decode()).scalars]))
    given = {
        "values": values,
        "passphrase": KEYS["YAML_VAULT_PASSPHRASE"],
        "sign": KEYS["YAML_VAULT_SIGN_PASSPHRASE"],
        "credentials": make("rails", KEYS, {}).encrypt(TEXT.encode()).decode(),
        "key": KEYS["RAILS_MASTER_KEY"],
    }
    command = ["docker", "run", "--rm", "-i", "--network", "none", IMAGE, "ruby", "-e", RUBY]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True,
                          check=True, timeout=120)  # fmt: skip
    opened, credentials = json.loads(done.stdout)
    assert opened == [["hello", "お守り🎴", "x\ny\n", "", "!tag v"]] * len(LENGTHS)
    assert credentials == TEXT
