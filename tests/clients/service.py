"""A stepfleet-local of its own for each module of tests."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

BINARY = os.environ.get("STEPFLEET_LOCAL", "stepfleet-local")


class Service:
    """`stepfleet-local serve` on free ports, gone when it is stopped."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="stepfleet-clients-")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--dir", self.folder.name + "/run"]
            + ["--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        said = ""
        for line in self.process.stdout:
            said += line
            if line == "ready\n":
                break
        else:
            raise RuntimeError(f"it did not start: {said}")
        self.exports = dict(re.findall(r"export (\w+)='([^']*)'", said))
        self.url = self.exports["AWS_ENDPOINT_URL"]
        # Nothing of the machine's own configuration is read.
        self.environment = os.environ | self.exports | {
            "AWS_DEFAULT_REGION": self.exports["AWS_REGION"],
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def stop(self):
        """Ends it in order: it exits with 0."""
        self.process.send_signal(signal.SIGTERM)
        for _ in range(90):
            try:
                code = self.process.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                # Its workers wait for their open polls, which last a minute.
                with contextlib.suppress(OSError):
                    self.advance("61s")
        else:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()
        assert code == 0, f"exit code {code}"

    def call(self, method, path, body=None):
        """One call of what is not AWS: the status, and the body as JSON or text."""
        data = None if body is None else body.encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                status, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
            error.close()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def advance(self, span):
        """Moves its time on."""
        status, said = self.call("POST", "/_stepfleet/clock", json.dumps({"advance": span}))
        assert status == 200, said


def until(what, holds, seconds=60):
    """Waits until something holds, and gives it; says what if it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        held = holds()
        if held:
            return held
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")
