# SPDX-License-Identifier: ISC
"""A real browser without a screen: Debian's chromium, told what to do by chromedriver (W3C WebDriver, JSON over HTTP).

Elements are named by CSS selectors. What is looked for may still be on its way: everything waits for it, with a limit.
"""

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import time

from runner import slow_build

LIMIT = 20
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"     # the name WebDriver gives to a reference
ENTER = "\ue007"
# WebDriver says so while a page is being built up.
PASSING = ("no such element", "stale element reference", "element not interactable", "element click intercepted",
           "no such frame", "javascript error", "no such window", "move target out of bounds")


class BrowserError(AssertionError):
    def __init__(self, value):
        super().__init__(f"{value.get('error')}: {value.get('message', '')[:400]}")
        self.passing = value.get("error") in PASSING


class Browser:
    def __init__(self, folder):
        self.folder = folder
        self.downloads = f"{folder}/downloads"
        os.makedirs(self.downloads)
        self.log = open(f"{folder}/chromedriver.log", "wb+")
        env = {**os.environ, "HOME": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8"}
        env.pop("LD_PRELOAD", None)
        # A session of its own: its processes end with it, whatever became of them.
        self.driver = subprocess.Popen(["chromedriver", "--port=0", "--allowed-ips=127.0.0.1"], cwd=folder, env=env,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                       start_new_session=True)
        self.path = ""
        try:
            self.port = self.wait(self.find_port)
            self.path = f"/session/{self.begin()}"
        except BaseException:
            self.end_processes()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrowserError, OSError):
            self.tell("DELETE", "")
        self.end_processes()

    def end_processes(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()
        self.log.close()

    def find_port(self):
        with open(f"{self.folder}/chromedriver.log", encoding="utf-8", errors="replace") as f:
            words = f.read().partition("started successfully on port ")[2].split()
        return int(words[0].rstrip(".")) if words else None

    def begin(self):
        options = {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1280,900", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--no-proxy-server", "--lang=en",
                     f"--user-data-dir={self.folder}/profile"],
            "prefs": {"download.default_directory": self.downloads, "download.prompt_for_download": False},
        }
        wanted = {"browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options,
                  "unhandledPromptBehavior": "accept"}
        return self.tell("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def tell(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60 * slow_build())
        c.request(method, self.path + path, None if method != "POST" else json.dumps(body or {}),
                  {"Content-Type": "application/json"})
        answer = c.getresponse()
        value = json.loads(answer.read())["value"]
        c.close()
        if answer.status != 200:
            raise BrowserError(value)
        return value

    def wait(self, condition, what="", limit=LIMIT):
        """The first value of condition() that is true; a passing error is a "not yet"."""
        until, trouble = time.monotonic() + limit * slow_build(), None
        while True:
            try:
                value = condition()
                if value:
                    return value
            except BrowserError as e:
                if not e.passing:
                    raise
                trouble = e
            if time.monotonic() > until:
                raise AssertionError(f"the browser waited {limit} s in vain: {what} {trouble or ''}")
            time.sleep(0.05)

    # ---- what a person does ----

    def go(self, url):
        self.tell("POST", "/url", {"url": url})

    def url(self):
        return self.tell("GET", "/url")

    def elements(self, selector):
        found = self.tell("POST", "/elements", {"using": "css selector", "value": selector})
        return [e[ELEMENT] for e in found]

    def shown(self, selector, text=""):
        """Elements that can be seen, with the text in them."""
        return [e for e in self.elements(selector) if self.tell("GET", f"/element/{e}/displayed")
                and text in self.tell("GET", f"/element/{e}/text")]

    def see(self, selector, text="", limit=LIMIT):
        """Waits until it is there; its text."""
        def look():
            found = self.shown(selector, text)
            return found and (self.tell("GET", f"/element/{found[0]}/text") or " ")
        return self.wait(look, f"{selector} with {text!r}", limit)

    def not_see(self, selector, text="", limit=LIMIT):
        self.wait(lambda: not self.shown(selector, text), f"no {selector} with {text!r}", limit)

    def click(self, selector, text=""):
        def once():
            found = self.shown(selector, text)
            if not found:
                return False
            self.tell("POST", f"/element/{found[0]}/click")
            return True
        self.wait(once, f"to click {selector} {text!r}")

    def double_click(self, selector, text=""):
        def once():
            found = self.shown(selector, text)
            if not found:
                return False
            self.pointer({ELEMENT: found[0]}, 2)
            return True
        self.wait(once, f"to double-click {selector} {text!r}")

    def pointer(self, origin, clicks):
        moves = [{"type": "pointerMove", "duration": 0, "origin": origin, "x": 0, "y": 0}]
        moves += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}] * clicks
        self.tell("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": moves}]})

    def type(self, selector, text, clear=True):
        def once():
            found = self.shown(selector)
            if not found:
                return False
            if clear:
                self.tell("POST", f"/element/{found[0]}/clear")
            self.tell("POST", f"/element/{found[0]}/value", {"text": text})
            return True
        self.wait(once, f"to type into {selector}")

    def upload(self, selector, path):
        """Into a file field, which need not be seen."""
        self.wait(lambda: self.elements(selector), f"a file field {selector}")
        self.tell("POST", f"/element/{self.elements(selector)[0]}/value", {"text": path})

    def texts(self, selector):
        """Of all that can be seen."""
        return self.run("return [...document.querySelectorAll(arguments[0])].filter(e => e.offsetParent !== null)"
                        ".map(e => e.innerText.trim())", selector)

    def run(self, script, *arguments):
        return self.tell("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def frame(self, selector=None):
        """Into the frame; without a name back to the whole page."""
        self.tell("POST", "/frame", {"id": None})
        if selector is None:
            return

        def enter():
            self.tell("POST", "/frame", {"id": {ELEMENT: self.elements(selector)[0]}})
            return True
        self.wait(lambda: self.elements(selector), f"a frame {selector}")
        self.wait(enter, f"to enter the frame {selector}")

    def download(self, begin, name):
        """The octets of the file that comes when begin() was called."""
        begin()
        path = f"{self.downloads}/{name}"
        self.wait(lambda: os.path.exists(path), f"the download of {name}")
        with open(path, "rb") as f:
            return f.read()

    def picture(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.tell("GET", "/screenshot")))
