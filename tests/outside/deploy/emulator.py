"""Stands for AWS: MiniStack, which this module starts on a free port of loopback and ends again, or a running LocalStack."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from waiting import until

REGION = "us-east-1"
# MiniStack takes "test" for the root of its account and checks nothing else.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Mail:
    to: str
    subject: str
    text: str
    html: str


class Emulator:
    """A context manager: within it AWS answers at `url`."""

    # A certificate that clients trust besides the system's: the emulator's.
    certificate = None

    def __init__(self, folder):
        self.folder = Path(folder)
        self.home = self.folder / "home"
        self.home.mkdir()

    def environment(self):
        """The environment of the emulator and of its clients: without the caller's account and home."""
        trust = {"AWS_CA_BUNDLE": str(self.certificate)} if self.certificate else {}
        return {
            **CREDENTIALS,
            **trust,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": str(self.home),
        }

    def client(self, service):
        """An SDK client with the rights of the account's root."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            verify=str(self.certificate) if self.certificate else None,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def connection(self):
        """A connection for HTTP without an SDK."""
        address = urlsplit(self.url)
        if address.scheme == "http":
            return http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection(address.hostname, address.port, timeout=60, context=context)

    def get(self, path):
        """Reads one of the emulator's own pages, in JSON."""
        connection = self.connection()
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class LocalStack(Emulator):
    """LocalStack at a given address. This was never tried: see docs/localstack.md."""

    def __init__(self, folder, url):
        super().__init__(folder)
        self.url = url

    def api_host(self, api_id):
        return f"{api_id}.execute-api.localhost.localstack.cloud:{urlsplit(self.url).port}"

    def mails(self):
        for m in self.get("/_aws/ses")["messages"]:
            body = m["Body"]
            yield Mail(m["Destination"]["ToAddresses"][0], m["Subject"], body["text_part"], body["html_part"])

    def tail(self):
        return "`docker compose logs` has them"


class MiniStack(Emulator):
    """A MiniStack of this run, over TLS, because the archive's bucket refuses everything else."""

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.log = self.folder / "ministack.log"
        # MiniStack makes this certificate, for "localhost".
        self.certificate = self.home / "ministack-tls" / "server.crt"

    def __enter__(self):
        environment = {
            **self.environment(),
            "GATEWAY_PORT": str(self.port),
            "USE_SSL": "1",
            # The functions inherit this variable.
            "SSL_CERT_FILE": str(self.certificate),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            # MiniStack writes its files here only.
            "STATE_DIR": str(self.home / "state"),
            "S3_DATA_DIR": str(self.home / "s3"),
            # Each function runs under its own role, and calls that the role does not allow are refused.
            "AUTH": "true",
        }
        with open(self.log, "wb") as log:
            # A session of its own: the functions' processes belong to it, and end with it.
            self.process = subprocess.Popen(
                ["ministack"],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            until("MiniStack is ready", self.is_ready, seconds=60)
        except BaseException:
            self.stop()
            raise
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"MiniStack ended with {self.process.returncode}:\n{self.tail()}")
        try:
            self.get("/_ministack/ready")
            return True
        except OSError:
            return False

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def api_host(self, api_id):
        return f"{api_id}.execute-api.localhost:{self.port}"

    def mails(self):
        accounts = self.get("/_ministack/ses/messages")["messages"].values()
        for m in [message for account in accounts for message in account]:
            yield Mail(m["To"][0], m["Subject"], m["BodyText"], m["BodyHtml"])
