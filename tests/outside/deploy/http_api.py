"""A client of the deployed HTTP API."""

import json
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    body: object
    cookie: str = ""

    def __str__(self):
        return f"{self.status} {str(self.body)[:500]}"


class HttpApi:
    """Calls the API by the host name that the gateway gives it, and presents a key."""

    def __init__(self, emulator, api_id, key):
        self.emulator = emulator
        self.key = key
        self.host = emulator.api_host(api_id)

    def call(self, method, path, body=None, content_type="application/json", authorized=True, **headers):
        """Sends one request. An answer in JSON is parsed."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["host"] = self.host
        if body is not None:
            headers["content-type"] = content_type
        if authorized:
            headers["authorization"] = f"Bearer {self.key}"
        connection = self.emulator.connection()
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            data = answer.read()
            cookie = answer.getheader("set-cookie") or ""
            is_json = "json" in (answer.getheader("content-type") or "")
        finally:
            connection.close()
        return Answer(answer.status, json.loads(data) if is_json and data else data, cookie)

    def must(self, status, method, path, body=None, **more):
        """Sends one request, which must be answered with `status`; returns the body."""
        answer = self.call(method, path, body, **more)
        if answer.status != status:
            raise AssertionError(f"{method} {path}: {answer}, not {status}")
        return answer.body
