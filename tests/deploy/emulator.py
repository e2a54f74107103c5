"""MiniStack, which plays AWS: started on a free port of loopback, with an account of its own, and ended again."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import boto3

from waiting import until

REGION = "us-east-1"
# Nobody's: MiniStack takes "test" for the root of its account, and looks nowhere else.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Emulator:
    """A context: inside of it AWS is at `url`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port = free_port()
        # Over TLS, since the archive's bucket refuses everything else.
        self.url = f"https://localhost:{self.port}"
        self.log = self.folder / "ministack.log"
        self.home = self.folder / "home"
        self.home.mkdir()
        # Made by MiniStack, for "localhost".
        self.certificate = self.home / "ministack-tls" / "server.crt"

    def environment(self):
        """Of the emulator, and of what talks to it: nothing of the caller's account or home."""
        return {
            **CREDENTIALS,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CA_BUNDLE": str(self.certificate),
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": str(self.home),
        }

    def __enter__(self):
        environment = {
            **self.environment(),
            "GATEWAY_PORT": str(self.port),
            "USE_SSL": "1",
            # The functions inherit it.
            "SSL_CERT_FILE": str(self.certificate),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            # Each function runs under its own role, and what the role does not allow is refused.
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

    def connection(self):
        """For HTTP without an SDK."""
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection("localhost", self.port, timeout=60, context=context)

    def get(self, path):
        """What MiniStack says of itself, in JSON."""
        connection = self.connection()
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()

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

    def client(self, service):
        """A client of the account's root."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            verify=str(self.certificate),
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
