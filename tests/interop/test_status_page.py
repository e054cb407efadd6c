"""The page for people in a real browser: what it shows is what /status and /metrics say, it asks nobody
else, and it can be read in both colour schemes."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import browser  # noqa: E402
from peers import AGENT, Agent, Gateway, Origin, curl, plain, wait_until  # noqa: E402
from test_status import admin_of, get, metric  # noqa: E402

pytestmark = pytest.mark.skipif(not browser.PROGRAM, reason="chromium is not installed: scripts/setup browser")

# The least contrast of any text with what is behind it, and that text (WCAG 2.1, section 1.4.3).
LEAST_CONTRAST = """(() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const over = (above, below) => below.map((value, index) => value + (above[index] - value) * (above[3] ?? 1));
  const backdrop = element => {
    const color = parts(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color.slice(0, 3);
    return over(color, element.parentElement ? backdrop(element.parentElement) : [255, 255, 255]);
  };
  const luminance = color => {
    const [red, green, blue] = color.map(value => value / 255)
      .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let least = [99, ""];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.tagName === "SCRIPT") continue;
    const behind = backdrop(element), front = over(parts(getComputedStyle(element).color), behind).slice(0, 3);
    const [dark, light] = [luminance(behind), luminance(front)].sort((one, other) => one - other);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < least[0]) least = [contrast, texts.currentNode.data];
  }
  return least;
})()"""

LATENCY_ROWS = """Object.fromEntries([...document.querySelectorAll("#latency tr")].slice(1)
  .map(row => [row.cells[0].textContent, row.cells[1].textContent]))"""
VERDICT_ROWS = """Object.fromEntries([...document.querySelectorAll("#verdicts tr")]
  .map(row => [row.dataset.verdict, Number(row.dataset.count)]))"""
LINK_STATES = """[...document.querySelectorAll("#links td.state")].map(cell => cell.textContent)"""


def text_of(page, element_id):
    return page.evaluate(f'document.getElementById("{element_id}")?.textContent')


def shows(page, **texts):
    return all(text_of(page, name.replace("_", "-")) == text for name, text in texts.items())


class Stage:
    """Two gateways, of which one is away; an origin that breaks off, or answers when it is told to."""

    def __init__(self, directory, certificates):
        self._certificates, self._directory = certificates, directory
        for name in ("up", "away"):
            (directory / name).mkdir()
        self.gateway = Gateway(directory / "up", certificates)
        self._away = Gateway(directory / "away", certificates)
        self._go_on = threading.Event()
        self._users = []

    def _answer(self, request, write):
        if request.path == "/broken":
            write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            return False
        if request.path == "/held":
            assert self._go_on.wait(60)
        write(plain(b"hello" * 100))
        return True

    @contextlib.contextmanager
    def running(self):
        with self.gateway.running(), Origin(self._answer).running() as origin:
            file = self._directory / "agent.json"
            file.write_text(json.dumps({
                "origin": origin.url, "admin": "127.0.0.1:0", "capacity": 1,
                "tls": {"ca_file": str(self._certificates.ca), "cert_file": str(self._certificates.worker),
                        "key_file": str(self._certificates.worker_key), "server_name": "gw.test"},
                "gateways": [{"name": "edge-up", "url": f"https://127.0.0.1:{self.gateway.workers}", "connections": 2},
                             {"name": "edge-away", "url": f"https://127.0.0.1:{self._away.workers}"}]}))
            agent = Agent(0, self._certificates, origin.url)
            agent._command = [str(AGENT), "run", "--config", str(file), "--log-format", "json"]
            with agent.running():
                agent.wait_for(lambda line: line.get("to") == "attached", "both links", count=2)
                agent.wait_for(lambda line: line.get("to") == "backing_off", "the gateway that is away")
                self.admin = admin_of(agent)
                yield self
                self.let_go()

    def hold(self, count):
        self._users = [subprocess.Popen(["curl", "-sS", "--max-time", "60", self.gateway.url("/held")],
                                        stdout=subprocess.DEVNULL) for _ in range(count)]

    def let_go(self):
        self._go_on.set()
        for user in self._users:
            assert user.wait(30) == 0
        self._users = []


@pytest.fixture
def up(tmp_path, certificates):
    with Stage(tmp_path, certificates).running() as stage:
        yield stage


@pytest.fixture
def page(tmp_path, up):
    with browser.browser(tmp_path) as page:
        page.resize(1280, 900)
        yield page


def test_the_page_shows_what_the_metrics_say_and_asks_nobody_else(up, page):
    for _ in range(5):
        assert curl(up.gateway.url("/")).stdout == b"hello" * 100
    for _ in range(2):
        curl(up.gateway.url("/broken"), check=False)
    up.hold(2)
    wait_until(lambda: metric(up.admin, "ptth_queue_length") == 1, "one in hand, one queued")
    page.open(f"http://{up.admin}/")
    wait_until(lambda: shows(page, in_flight="1", capacity="1", queued="1", links_attached="2", links_all="3",
                             exchanges="7", failures="2"), "the numbers of now")
    states = page.evaluate(LINK_STATES)
    assert states[:2] == ["attached", "attached"] and states[2] != "attached", states
    assert text_of(page, "phase") == "serving, ready"
    notices = text_of(page, "notices")
    assert "No link to edge-away is attached" in notices and "Is --gateway right" in notices, notices
    assert "The application closed before its answer was whole" in text_of(page, "warnings")
    up.let_go()
    wait_until(lambda: shows(page, in_flight="0", queued="0", exchanges="9"), "the end of the requests")
    counts = page.evaluate(LATENCY_ROWS)
    for phase, name, labels in (("queue", "ptth_queue_age_seconds", {"class": "none"}),
                                ("origin connect", "ptth_origin_connect_seconds", {}),
                                ("first byte", "ptth_first_byte_seconds", {"gateway": "edge-up"}),
                                ("transfer", "ptth_transfer_seconds", {"gateway": "edge-up"}),
                                ("exchange", "ptth_exchange_seconds", {"gateway": "edge-up"})):
        assert int(counts[phase]) == metric(up.admin, f"{name}_count", **labels) > 0, phase
    verdicts = page.evaluate(VERDICT_ROWS)
    assert verdicts == {"ok": 7, "origin_closed": 2}
    for verdict, count in verdicts.items():
        assert metric(up.admin, "ptth_exchanges_total", gateway="edge-up", verdict=verdict) == count
    assert json.loads(get(up.admin, "/status")[1])["now"]["exchanges"] == 9
    assert {url.split("?")[0] for url in page.requested if not url.startswith("data:")} == \
        {f"http://{up.admin}/", f"http://{up.admin}/status"}
    assert page.complaints == []


def test_every_text_of_the_page_can_be_read_in_both_colour_schemes_and_on_a_phone(up, page, tmp_path):
    curl(up.gateway.url("/"))
    curl(up.gateway.url("/broken"), check=False)
    page.open(f"http://{up.admin}/")
    wait_until(lambda: shows(page, exchanges="2"), "the page")
    grounds = set()
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        contrast, text = page.evaluate(LEAST_CONTRAST)
        assert contrast >= 4.5, (scheme, contrast, text)
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        # For people who want to look: SCREENSHOTS is a folder.
        page.screenshot(Path(os.environ.get("SCREENSHOTS", tmp_path)) / f"status-{scheme}.png")
    assert len(grounds) == 2
    page.resize(400, 800)
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_an_agent_that_is_gone_is_told(up, page):
    page.open(f"http://{up.admin}/")
    wait_until(lambda: shows(page, links_all="3"), "the page")
    assert not page.evaluate('document.getElementById("lost").checkVisibility()')
    assert subprocess.run([AGENT, "drain", "--admin", up.admin], capture_output=True, check=False).returncode == 0
    wait_until(lambda: page.evaluate('document.getElementById("lost").checkVisibility()'), "its last words")
    assert shows(page, links_all="3")
