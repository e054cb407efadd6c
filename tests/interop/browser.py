"""Chromium without a window, over the DevTools protocol on a pair of pipes: loads a page of ours, tells what
it shows and what it asked of whom."""

import base64
import contextlib
import json
import os
import shutil
import subprocess

PROGRAM = shutil.which("chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe")


class Page:
    """The one tab of a browser."""

    def __init__(self, commands, answers):
        self._commands, self._answers = commands, answers
        self._last_id, self._session = 0, None
        self.requested, self.complaints = [], []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _call(self, method, **parameters):
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while (answer := self._read()).get("id") != self._last_id:
            self._note(answer.get("method"), answer.get("params"))
        assert "result" in answer, f"{method}: {answer}"
        return answer["result"]

    def _read(self):
        message = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            message += byte
        return json.loads(message)

    def _note(self, event, parameters):
        if event == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"])
        elif event == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"])

    def open(self, url):
        self._call("Page.navigate", url=url)

    def evaluate(self, expression):
        """The value of a JavaScript expression, also of a promise of one."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def prefer(self, scheme):
        self._call("Emulation.setEmulatedMedia",
                   features=[{"name": "prefers-color-scheme", "value": scheme}])

    def resize(self, width, height):
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, file):
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser(directory):
    """Yields its page; `directory` gets its profile, and what it logs."""
    command_end, answer_end = os.pipe(), os.pipe()
    # The protocol's pipes are the descriptors 3 and 4; only bash can move those of two digits.
    command = ["bash", "-c", f'exec "$@" 3<&{command_end[0]} 4>&{answer_end[1]}', "bash", PROGRAM, *FLAGS,
               f"--user-data-dir={directory}/browser"]
    with open(directory / "browser.log", "wb") as log:
        child = subprocess.Popen(command, pass_fds=(command_end[0], answer_end[1]), stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, start_new_session=True)
    os.close(command_end[0])
    os.close(answer_end[1])
    with open(command_end[1], "wb") as commands, open(answer_end[0], "rb") as answers:
        try:
            yield Page(commands, answers)
        finally:
            # Its processes are many; this is their group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, 9)
            child.wait()
