"""The status page, as a person clicks through it: on a desk and on a phone, by day and by night."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import unittest

import boto3
from playwright.sync_api import expect, sync_playwright

from service import BINARY, Service, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
CATALOGUE = str(ROOT / "fleet.yaml")
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:demo-s3-load"
ROLE = "arn:aws:iam::123456789012:role/any"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Where pictures go, if somebody wants to look.
PICTURES = os.environ.get("STEPFLEET_PICTURES")
VIEWS = [(width, scheme) for width in (1280, 400) for scheme in ("light", "dark")]

# Text that is hard to read: its contrast with what is behind it, below 4.5 (WCAG AA).
FAINT = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const color = rgb(getComputedStyle(node).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    if (node.closest('svg') || !node.checkVisibility()) continue;
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) faint.push(`${node.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


def setUpModule():
    """A fleet of the example's catalogue with its real workers and autoscaler, and its executions."""
    global SERVICE, AUTOSCALER, PLAYWRIGHT, BROWSER
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    SERVICE = Service(
        *("--catalogue", CATALOGUE, "--allow-short-periods", "--metric-resolution", "10s"),
        *("--metric-delay", "2s", "--decisions", f"http://{address}/decisions"),
    )
    environment = SERVICE.environment
    os.environ.update(environment)
    AUTOSCALER = subprocess.Popen(
        [str(pathlib.Path(BINARY).with_name("autoscaler")), "run", "--tick", "5s"]
        + ["--allow-short-periods", "--listen", address, "--catalogue", CATALOGUE],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    sfn = boto3.client("stepfunctions")
    for name, state in {
        "good": {"Type": "Pass", "Result": {"loaded": 2}, "End": True},
        "bad": {"Type": "Fail", "Error": "Load.<Bad>", "Cause": "row 7 & others"},
        "slow": {"Type": "Wait", "Seconds": 3600, "End": True},
    }.items():
        definition = json.dumps({"StartAt": "Only", "States": {"Only": state}})
        machine = sfn.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        sfn.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=f"{name}-one", input='{"table": "orders"}'
        )
    PLAYWRIGHT = sync_playwright().start()
    BROWSER = PLAYWRIGHT.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    status = lambda: SERVICE.call("GET", "/_stepfleet/status.json")[1]
    until("the autoscaler decides", lambda: status()["decisions"])
    until("a worker is ready", lambda: any(one["ready"] for one in status()["deployments"]))
    until("the worker polls", lambda: any(one["polls"] for one in status()["activities"]))


def tearDownModule():
    BROWSER.close()
    PLAYWRIGHT.stop()
    AUTOSCALER.terminate()
    AUTOSCALER.wait(timeout=60)
    SERVICE.stop()


class Page(unittest.TestCase):
    def open(self, width, scheme, path="/_stepfleet/"):
        context = BROWSER.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.addCleanup(context.close)
        page = context.new_page()
        page.set_default_timeout(15_000)
        self.said = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("requestfailed", lambda request: self.said.append(request.url))
        page.goto(SERVICE.url + path)
        return page

    def readable(self, page, name):
        """Nothing is cut off, hard to read, or complained about."""
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        self.assertLessEqual(page.evaluate(wide), 0, f"{name} is wider than its window")
        self.assertEqual(page.evaluate(FAINT), [], f"{name} is hard to read")
        self.assertEqual(self.said, [], name)

    def test_all_that_runs_is_there(self):
        for width, scheme in VIEWS:
            with self.subTest(width=width, scheme=scheme):
                page = self.open(width, scheme)
                row = page.locator("#activities tbody tr")
                expect(row.locator("td").first).to_have_text("demo-s3-load")
                polls = int(row.locator("td").nth(3).inner_text())
                self.assertGreaterEqual(polls, 1)
                row = page.locator("#deployments tbody tr")
                expect(row.locator("td").first).to_have_text("s3-load")
                self.assertGreaterEqual(int(row.locator("td").nth(1).inner_text()), 1)
                expect(page.locator("#executions li")).to_have_count(3)
                tile = page.locator(".tile", has_text="Executions")
                expect(tile).to_contain_text("1 running, 1 failed")
                for alarm in ("out", "in", "starved"):
                    name = f"demo-s3-load-{alarm}"
                    expect(page.locator("#alarms li", has_text=name)).to_be_visible()
                expect(page.locator("#decisions li").first).to_contain_text("s3-load")
                expect(page.locator("svg").first).to_be_visible()
                self.readable(page, f"page-{width}-{scheme}")

    def test_a_failed_execution_is_found_and_says_why(self):
        for width, scheme in VIEWS:
            with self.subTest(width=width, scheme=scheme):
                page = self.open(width, scheme)
                page.get_by_role("link", name="failed", exact=True).click()
                failed = page.locator("#executions li")
                expect(failed).to_have_count(1)
                expect(failed).to_contain_text("Load.<Bad>: row 7 & others")
                # What changes by itself keeps the choice.
                with page.expect_response(lambda answer: "fragment?show=failed" in answer.url):
                    pass
                expect(failed).to_have_count(1)
                page.get_by_role("link", name="bad-one").click()
                expect(page.locator("#execution .state")).to_have_text("FAILED")
                expect(page.locator("#execution .why")).to_have_text("Load.<Bad>: row 7 & others")
                events = page.locator("#history li > b").all_inner_texts()
                self.assertEqual(events, ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"])
                page.locator("#execution summary", has_text="input").click()
                expect(page.locator("#execution pre")).to_have_text('{"table": "orders"}')
                self.readable(page, f"execution-{width}-{scheme}")
                page.get_by_role("link", name="stepfleet").click()
                expect(page.locator("#executions li")).to_have_count(3)

    def test_running_executions_are_apart(self):
        page = self.open(1280, "light")
        page.get_by_role("link", name="running", exact=True).click()
        expect(page.locator("#executions li")).to_have_count(1)
        page.get_by_role("link", name="slow-one").click()
        expect(page.locator("#execution .state")).to_have_text("RUNNING")
        self.readable(page, "running")

    def test_an_execution_that_is_not_there_is_said(self):
        page = self.open(1280, "light", "/_stepfleet/execution?arn=" + MACHINE)
        expect(page.locator("main")).to_contain_text("demo-s3-load")
        self.assertEqual(len(self.said), 1, "the 404 itself")

    def test_the_keyboard_stays_where_it_was(self):
        page = self.open(1280, "light")
        page.get_by_role("link", name="failed", exact=True).focus()
        with page.expect_response(lambda answer: "fragment" in answer.url):
            pass
        page.wait_for_timeout(200)
        focused = "document.activeElement.textContent"
        self.assertEqual(page.evaluate(focused), "failed")


if __name__ == "__main__":
    unittest.main()
