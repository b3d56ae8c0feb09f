"""What a bucket's CORS configuration answers to a page of another origin."""

from __future__ import annotations

from kaiun.engine.s3.cors import answer, asked, read

CONFIGURATION = b"""<?xml version="1.0"?>
<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <CORSRule>
    <AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>
    <AllowedHeader>X-Amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>
    <MaxAgeSeconds>600</MaxAgeSeconds>
  </CORSRule>
  <CORSRule>
    <AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod>
  </CORSRule>
</CORSConfiguration>"""


def told(method: str, **headers: str) -> dict[str, str] | None:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    found = answer(read(CONFIGURATION), asked(method, given))
    return None if found is None else {n.decode(): v.decode() for n, v in found}


def test_page_of_an_allowed_origin_may_read() -> None:
    found = told("GET", origin="https://shop.example.com")
    assert found is not None
    assert found["access-control-allow-origin"] == "https://shop.example.com"
    assert found["access-control-allow-credentials"] == "true"
    assert found["access-control-expose-headers"] == "ETag"
    assert "Origin" in found["vary"]


def test_page_of_another_origin_is_told_nothing() -> None:
    assert told("GET", origin="https://example.org") is None
    assert told("GET", origin="https://shop.example.com.evil.org") is None


def test_rule_for_everybody_names_no_origin() -> None:
    found = told("HEAD", origin="https://example.org")
    assert found is not None
    assert found["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in found


def test_request_of_no_page_needs_no_headers() -> None:
    assert told("GET") is None


def test_preflight_asks_for_a_method_and_headers() -> None:
    want = {"origin": "https://a.example.com", "access_control_request_method": "GET"}
    assert told("OPTIONS", **want, access_control_request_headers="x-amz-date") is not None
    assert told("OPTIONS", **want, access_control_request_headers="x-amz-date, range") is None
    assert told("OPTIONS", **want | {"access_control_request_method": "PUT"}) is None


def test_no_configuration_lets_nobody_in() -> None:
    wanted = asked("GET", {"origin": "https://shop.example.com"})
    assert answer(read(b""), wanted) is None
    assert answer(read(b"<Error><Code>NoSuchCORSConfiguration</Code></Error>"), wanted) is None
