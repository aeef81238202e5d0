"""HTTP for the integration tests: plain requests, a reader of server-sent events, raw sockets, a strict
reader of the text format of Prometheus, and a headless Chromium driven over WebDriver."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.request

import weir


def start(station, name="main", *arguments):
    """A projector with HTTP on a free port: (program, (host, port))."""
    projector = station.start_projector(name, "--http", "127.0.0.1:0", *arguments)
    host, port = re.search(r"http=(\S+):(\d+)", projector.log_text()).groups()
    return projector, (host, int(port))


def ask(address, target, method="GET", headers=None, body=None):
    """(status, headers with small names, body)"""
    connection = http.client.HTTPConnection(*address, timeout=weir.LIMIT_SECONDS)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def get(address, target):
    status, _, body = ask(address, target)
    assert status == 200, (target, status, body)
    return json.loads(body)


def raw(address, data, limit=5):
    """What comes back for these bytes until the other side closes or is quiet for `limit` seconds."""
    with socket.create_connection(address, timeout=limit) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while more := connection.recv(65536):
                answer += more
        except (TimeoutError, ConnectionError):
            pass
        return answer


class Live:
    """Reads /live: (id, event, data), one after another."""

    def __init__(self, address, target="/live", last_id=None):
        self.connection = http.client.HTTPConnection(*address, timeout=weir.LIMIT_SECONDS)
        self.connection.request("GET", target, headers={"Last-Event-ID": str(last_id)} if last_id is not None else {})
        self.reply = self.connection.getresponse()
        assert self.reply.status == 200, self.reply.read()

    def next(self, kind):
        found = {}
        while True:
            line = self.reply.readline().decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                found[name] = value
                continue
            if found.get("event") == kind:
                return found.get("id"), json.loads(found["data"])
            found = {}

    def close(self):
        self.connection.close()


METRIC = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"\})? (-?[0-9.e+-]+|\+Inf|NaN)$')


def metrics(text):
    """{name{labels}: value}; asserts what the text format asks for."""
    found, types, helped = {}, {}, set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types and name in helped and kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
        else:
            match = METRIC.match(line)
            assert match, line
            family = match[1]
            if family not in types:
                family = re.sub(r"_(bucket|sum|count)$", "", family)
                assert types.get(family) == "histogram", line
            key = match[1] + (match[2] or "")
            assert key not in found, f"{key} twice"
            found[key] = float(match[3])
    for name in (name for name, kind in types.items() if kind == "histogram"):
        buckets = [value for key, value in found.items() if key.startswith(name + "_bucket")]
        assert buckets == sorted(buckets) and buckets[-1] == found[name + "_count"], name
    return found


# https://www.w3.org/TR/webdriver2/#keyboard-actions
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "End": "\ue010", "Home": "\ue011", "Left": "\ue012", "Right": "\ue014"}


class Browser:
    """Chromium without a screen, over chromedriver's WebDriver; as root it needs --no-sandbox."""

    ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--disable-dev-shm-usage", "--hide-scrollbars")

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="weir-browser-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=weir.die_with_parent,
        )
        weir.until(self.is_ready, "chromedriver")
        options = {"args": [*self.ARGUMENTS, f"--user-data-dir={self.folder}"]}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.base += f"/session/{made['sessionId']}"

    def is_ready(self):
        try:
            return self.call("GET", "/status")["ready"]
        except OSError:
            return False

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=weir.LIMIT_SECONDS) as reply:
            return json.load(reply)["value"]

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, *keys):
        """Presses and lets go of keys one after another: characters, or names of KEYS."""
        strokes = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def look(self, width, height, scheme, mobile=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        import base64

        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            weir.until(self.is_gone, "the browser's last words in its folder")

    def is_gone(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        return not os.path.exists(self.folder)
