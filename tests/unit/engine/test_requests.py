"""The lines of an access log, as ELB's user guide shows them."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from kaiun.engine.balancer.requests import Context, Request, entry, read

ENDED = 1_700_000_000.5
FORWARDED = read(
    "listener-80-l\tweb\t10.0.0.1\t8080\t192.0.2.9\t2817\t0\t1\t2\t30\t40\t200\t200\t34\t366"
    "\t-\t-\t2\t-\tRoot=1-58337262-36d228ad5d99923122bbe354\twww.example.test:80\tGET\t/a?b=c"
    "\tHTTP/1.1\tcurl/7.46.0"
)
GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1"
PLAIN = Context("app/web/50dc", 80, False, GROUP, "10", "forward")


def fields(request: Request, context: Context = PLAIN) -> list[str]:
    return shlex.split(entry(request, context, ENDED))


def test_a_forwarded_request_has_all_fields_in_order() -> None:
    assert fields(FORWARDED) == [
        "http",
        "2023-11-14T22:13:20.500000Z",
        "app/web/50dc",
        "192.0.2.9:2817",
        "10.0.0.1:8080",
        "0.003",
        "0.030",
        "0.000",
        "200",
        "200",
        "34",
        "366",
        "GET http://www.example.test:80/a?b=c HTTP/1.1",
        "curl/7.46.0",
        "-",
        "-",
        GROUP,
        "Root=1-58337262-36d228ad5d99923122bbe354",
        "-",
        "-",
        "10",
        "2023-11-14T22:13:20.460000Z",
        "forward",
        "-",
        "-",
        "10.0.0.1:8080",
        "200",
        "-",
        "-",
    ]


def test_https_names_cipher_host_and_certificate() -> None:
    secure = replace(PLAIN, secure=True, port=443, certificate="arn:aws:acm:x")
    request = replace(FORWARDED, cipher="TLS_AES_128_GCM_SHA256", protocol="TLSv1.3")
    line = fields(request, secure)
    assert (line[0], line[14], line[15]) == ("https", "TLS_AES_128_GCM_SHA256", "TLSv1.3")
    assert (line[18], line[19]) == ("www.example.test", "arn:aws:acm:x")


@pytest.mark.parametrize(
    ("version", "status", "secure", "kind"),
    [
        ("HTTP/1.1", "101", False, "ws"),
        ("HTTP/1.1", "101", True, "wss"),
        ("HTTP/2.0", "200", True, "h2"),
    ],
)
def test_kinds_of_connections(version: str, status: str, secure: bool, kind: str) -> None:
    request = replace(FORWARDED, version=version, status=status)
    assert fields(request, replace(PLAIN, secure=secure))[0] == kind


def test_what_no_target_has_seen_says_so() -> None:
    unreached = replace(
        FORWARDED, target_ip="-", target_port="-", target_status="-", status="503",
        queue_ms=-1, connect_ms=-1, response_ms=-1,
    )  # fmt: skip
    line = fields(unreached)
    assert (line[4:10], line[25:27]) == (["-", "-1", "-1", "-1", "503", "-"], ["-", "-"])


def test_a_redirect_tells_where_to() -> None:
    redirected = replace(FORWARDED, status="301", location="https://www.example.test/")
    line = fields(redirected, replace(PLAIN, action="redirect"))
    assert (line[16], line[22], line[23]) == ("-", "redirect", "https://www.example.test/")


def test_what_a_client_sends_cannot_forge_a_field() -> None:
    request = replace(FORWARDED, agent='x" "forged\\')
    line = entry(request, PLAIN, ENDED)
    assert r'"x\x22 \x22forged\x5c"' in line


def test_what_is_no_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="3 fields instead of 25"):
        read("a\tb\tc")
