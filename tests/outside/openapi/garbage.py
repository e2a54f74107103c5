"""Sends requests that no client would send: random bodies, wrong content types, huge headers, odd paths and broken HTTP.
Any answer except a 5xx is allowed, and the system's own refusals must be problems. Every run sends the same bytes."""

import json
import os
import random
import re
import socket
import sys
from urllib.parse import urlsplit

host, port = urlsplit(sys.argv[1]).hostname, urlsplit(sys.argv[1]).port
chance = random.Random(int(sys.argv[2]))
rounds = int(sys.argv[2])
sent, statuses = 0, {}


def exchange(raw, why, is_half=False):
    """Sends the bytes and reads one answer. The connection may also be closed without an answer."""
    global sent
    sent += 1
    with socket.create_connection((host, port), timeout=60) as connection:
        try:
            connection.sendall(raw)
            if is_half:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The request was refused before all of it was read.
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
    if not answer:
        statuses["closed"] = statuses.get("closed", 0) + 1
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    assert match, f"{why}: no HTTP: {answer[:200]!r}"
    status = int(match[1])
    statuses[status] = statuses.get(status, 0) + 1
    assert status < 500, f"{why}: {answer[:1000]!r}"
    if status >= 400 and body and not raw.startswith(b"HEAD"):
        assert b"content-type: application/problem+json" in head.lower(), f"{why}: {answer[:1000]!r}"
        assert b"transfer-encoding" in head.lower() or json.loads(body)["status"] == status, why


def request(method, path, headers=(), body=None):
    path, method = (p if isinstance(p, bytes) else p.encode() for p in (path, method))
    lines = [method + b" " + path + b" HTTP/1.1", f"Host: {host}:{port}".encode(), b"Connection: close"]
    if not any(b"authorization" in (h if isinstance(h, bytes) else h.encode()).lower() for h in headers):
        lines.append(b"Authorization: Bearer " + os.environ["KEY"].encode())
    lines += [h if isinstance(h, bytes) else h.encode() for h in headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


TAKES_BODY = [
    ("POST", "/v1/interactions"), ("PUT", "/v1/campaigns/a"), ("PUT", "/v1/canvases/b"), ("PUT", "/v1/segments/a"),
    ("POST", "/v1/campaigns/spring-sale/stop"), ("POST", "/v1/campaigns/spring-sale/pin"),
    ("POST", "/v1/campaigns/spring-sale/start"), ("DELETE", "/v1/campaigns/spring-sale/pin"),
    ("POST", "/v1/audiences/count"), ("POST", "/v1/audiences/members"), ("POST", "/v1/audiences/match"),
    ("POST", "/v1/users/merge"), ("POST", "/v1/users/merges"),
    ("POST", "/v1/keys"), ("POST", "/v1/keys/01KBYD3Q8W4Y2N6M5T7R9V0XZA/rotate"),
    ("POST", "/v1/restores"), ("POST", "/v1/restores/01KBYD3Q8W4Y2N6M5T7R9V0XZA/cancel"),
]
LISTS = ["/v1/campaigns", "/v1/canvases", "/v1/tags", "/v1/segments", "/v1/restores", "/v1/users", "/v1/users/merges", "/v1/expirations", "/v1/keys", "/v1/audit",
         "/v1/campaigns/spring-sale/timeline", "/v1/campaigns/spring-sale/interactions.csv"]
TYPES = [None, "application/json", "application/x-ndjson", "text/plain", "application/xml", "multipart/form-data",
         "application/x-www-form-urlencoded", "application/json; charset=utf-16", ";;;", "*/*"]
ENCODINGS = [None, "gzip", "zstd", "identity", "br", "gzip, gzip", ""]
DEEP = b'{"not":' * 5000
BODIES = [
    b"", b" ", b"null", b"true", b"0", b'"x"', b"[]", b"{}", b"[[]]", b"{", b"[", b'{"filter":', b"\xff\xfe\x00", b"\x00",
    b'{"filter":{"segment":"\\u0000"}}', b'{"filter":{"segment":"\\ud800"}}', b'{"name":"\\ud800"}', b"\xef\xbb\xbf{}",
    b'{"name":"\xff"}', b'{"name":1e999}', b'{"limit":-1,"filter":{}}', b'{"limit":1e400}', b'{"a":' * 100_000,
    b"[" * 200_000, b'{"filter":' + DEEP, b'{"filter":' + DEEP + b"{}" + b"}" * 5001, b"{}{}", b"{} x",
    b'{"name":"a","name":"b"}', b'{"filter":{"hard_bounced":{}},"filter":{"marked_spam":{}}}',
    b'{"name":"' + b"a" * 2_000_000 + b'"}', b"9" * 300, b"-", b'{"at":99999999999999999999}', b'{"at":-1e308}',
    b'{"until":"9999-12-31T23:59:59.999999999Z","reason":"x"}', b'{"until":253402207200999,"reason":"x"}',
    b'{"at":"-009999-01-01T00:00:00Z"}', b"<xml/>", b"a=b&c=d", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd\x00",
    b'[{"user_id":"u","campaign_id":"a","type":"received","channel":"email","time":1e999}]',
    b'{"sources":[""],"notify":[""]}', b'{"sources":null,"tag":null}', b'{"tag":""}',
]
SEGMENTS = [
    "a%00b", "%", "%2", "%zz", "%FF", "%2F", "%2f..%2f", "..", ".", "%2e%2e", "a%20b", "a+b", "é".encode(), "%C3%A9", "a;b",
    "a:b", "a@b", "'", '"', "<script>", "{id}", "%7Bid%7D", "*", "~", "a" * 128, "a" * 129, "a" * 8000, "a" * 60_000, "a" * 70_000,
    "", "/", "//", "a/b", "campaign%2Fa", "\\", "|", "^", "a%0d%0ab", "%E0%80%80", "a?b", "a#b",
]
QUERIES = [
    "%", "%FF", "%00", "=", "&", "&&=&", "limit", "limit=", "limit=%31", "limit=1e2", "limit=99999999999999999999", "limit=1&limit=1",
    "cursor=", "cursor=%00", "cursor=" + "A" * 20_000, "cursor=eyJhIjoxfQ", "cursor=bnVsbA", "cursor=W10", "cursor=Ijki", "q=%FF%FE",
    "q=" + "%F0%9F%92%A9" * 300, "user_id=%00", "user_id=" + "%C3%A9" * 400, "until=now", "until=-1", "until=9223372036854775807",
    "until=2026-11-22T10:00:00+01:00", "tag=%20", "sort=tag", "a[]=1", "a%5B%5D=1", "?", "limit=1;cursor=x", "user_id=u1&" * 2000,
]
HEADERS = [
    ["X: " + "a" * 16_000], ["X: " + "a" * 300_000], ["X: " + "a" * 2_000_000], [f"X{i}: a" for i in range(90)],
    [f"X{i}: a" for i in range(2000)], ["If-Match: *"], ['If-Match: W/"1"'], ["If-Match: " + "9" * 400], [b"If-Match: \xff"],
    ["If-Match: 1", "If-Match: 2"], ["If-Match:"], ["Idempotency-Key: " + "k" * 300], [b"Idempotency-Key: \xe9"], ["Idempotency-Key:"],
    ["Idempotency-Key: a b"], [b"Content-Encoding: \xff"], [b"Content-Type: \xff\xfe"], ["Content-Type: " + "a/" * 5000],
    ["Accept: application/xml"], ["Accept-Encoding: gzip, br"], ["Accept-Charset: utf-16"], ["Range: bytes=0-1"], ["Authorization: " + "x" * 9000],
    [b"Authorization: Bearer \xff"], ["Cookie: " + "a=b; " * 3000], ["X-Forwarded-For: 1.2.3.4"], ["Expect: 200-ok"], ["Upgrade: h2c"],
    ["Origin: null"], ["Host: example.com"], ["Transfer-Encoding: gzip"], ["Max-Forwards: 0"], ["TE: trailers"],
]
BROKEN = [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /v1/tags HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x00" * 1000,
    b"GET /v1/tags HTTP/1.1\r\n\r\n", b"GET /v1/tags HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
    b"GET http://127.0.0.1/v1/tags HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"POST /v1/restores HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
    b"POST /v1/restores HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\nConnection: close\r\n\r\n{}",
    b"POST /v1/restores HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\n{}",
    b"POST /v1/interactions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
    b"POST /v1/interactions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nab",
    b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
]

for method, path in TAKES_BODY:
    for body in BODIES:
        exchange(request(method, path, [], body), f"{method} {path} {body[:60]!r}")
    for kind in TYPES:
        for encoding in ENCODINGS:
            headers = [f"{n}: {v}" for n, v in (("Content-Type", kind), ("Content-Encoding", encoding)) if v is not None]
            body = chance.choice(BODIES)
            exchange(request(method, path, headers, body), f"{method} {path} {headers} {body[:60]!r}")
    for _ in range(rounds):
        if chance.random() < 0.5:
            body = chance.randbytes(chance.randrange(200))
        else:  # A valid body with a few bytes changed.
            body = bytearray(chance.choice([b'{"filter":{"received":{"source":"campaign/spring-sale"}},"user_id":"u1"}',
                b'{"name":"x","tags":["promo"],"variants":[{"id":"A"}],"audience":null,"notify":[]}',
                b'[{"user_id":"u1","campaign_id":"a","type":"received","channel":"email"}]', b'{"sources":["campaign/old"]}',
                b'{"reason":"x","until":"2030-01-01T00:00:00Z"}']))
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
        exchange(request(method, path, [], bytes(body)), f"{method} {path} {bytes(body)!r}")
for segment in SEGMENTS:
    for before, after in [("/v1/campaigns/", ""), ("/v1/canvases/", "/timeline"), ("/v1/segments/", ""), ("/v1/restores/", ""),
                          ("/v1/campaigns/", "/interactions.csv"), ("/", "")]:
        part = segment if isinstance(segment, bytes) else segment.encode()
        for method in ["GET", "POST", "DELETE", "HEAD"]:
            exchange(request(method, before.encode() + part + after.encode()), f"{method} {before}{segment[:60]!r}{after}")
for path in LISTS:
    for query in QUERIES:
        exchange(request("GET", f"{path}?{query}"), f"GET {path}?{query[:60]}")
for headers in HEADERS:
    for method, path in [("GET", "/v1/tags"), ("PUT", "/v1/campaigns/a"), ("POST", "/v1/restores"), ("POST", "/v1/interactions")]:
        exchange(request(method, path, headers, None if method == "GET" else b"{}"), f"{method} {path} {str(headers)[:80]}")
for raw in BROKEN:
    exchange(raw, f"{raw[:80]!r}", is_half=True)
for method in ["PATCH", "TRACE", "OPTIONS", "FOO", "get", "G" * 5000, b"\xff"]:
    exchange(request(method, "/v1/tags"), f"{method[:20]!r}")
print(f"{sent} requests of garbage; answers: {dict(sorted(statuses.items(), key=str))}")
