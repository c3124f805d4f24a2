"""A server of its own and a browser that looks at it, for every story."""

import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request
import uuid

from selenium import webdriver
from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

BINARY = os.environ.get("KONTOR_BIN") or os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "debug", "kontor")
KEY = "kon_0123456789abcdefghijklmnopqrstuvwxyzABCD"
PATIENCE_S = 30


class Story(unittest.TestCase):
    """One shop with a location, and one tab."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.url = self.serve(pathlib.Path(folder.name))
        self.ask("POST", "/locations", {"id": "till", "name": "The till"})
        self.tab = self.browse()

    def serve(self, folder):
        log = open(folder / "log", "w")
        self.addCleanup(log.close)
        command = [BINARY, "serve", "--data", str(folder / "data"), "--listen", "127.0.0.1:0"]
        settings = {**os.environ, "KONTOR_ADMIN_KEY": KEY, "KONTOR_LOG": "warn"}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=settings, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait, PATIENCE_S)
        self.addCleanup(server.terminate)
        while select.select([server.stdout], [], [], PATIENCE_S)[0] and (line := server.stdout.readline()):
            if line.startswith("listening on "):
                return line.split()[2]
        self.fail("kontor did not start: " + (folder / "log").read_text())

    def browse(self):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for option in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        tab = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        self.addCleanup(tab.quit)
        return tab

    def tearDown(self):
        # A refusal is a line of its own there; scripts that fail and what the security policy stopped are not.
        wrong = [entry for entry in self.tab.get_log("browser") if entry["source"] != "network"]
        self.assertEqual([], [entry["message"] for entry in wrong if entry["level"] in ("SEVERE", "WARNING")])

    # ---- the API ----

    def ask(self, method, path, body=None):
        """Asks the API with the seller's key, whichever revision is the newest."""
        headers = {"X-API-Key": KEY, "Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        if method == "PATCH":
            headers["If-Match"] = "*"
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "/api/v1" + path, sent, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            self.fail(f"{method} {path}: {refused.read().decode()}")

    def sell(self, sku, title, price, units):
        """A product with units at the till."""
        prices = [{"currency": "EUR", "amount": price}]
        self.ask("POST", "/products", {"id": sku, "title": title, "variants": [{"sku": sku, "prices": prices}]})
        self.receive(sku, units)

    def receive(self, sku, units):
        self.ask("POST", "/stock/receive", {"sku": sku, "location": "till", "quantity": units})

    def take(self, sku, units):
        """Somebody at the till is quicker."""
        lines = [{"sku": sku, "location": "till", "quantity": units}]
        self.ask("POST", "/stock/issue", {"reference": str(uuid.uuid4()), "lines": lines})

    # ---- the page ----

    def open(self, path):
        self.tab.get(self.url + path)

    def find(self, selector):
        return self.tab.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """All that is to be read under a selector."""
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join(' ')"
        return self.tab.execute_script(script, selector)

    def until(self, what, holds):
        """Waits for something to become true, and says what did not. Pages replace their parts: what was found is
        looked up again if it is gone meanwhile."""
        passing = [NoSuchElementException, StaleElementReferenceException, ElementNotInteractableException]
        wait = WebDriverWait(self.tab, PATIENCE_S, poll_frequency=0.05, ignored_exceptions=passing)
        try:
            wait.until(lambda _: holds())
        except TimeoutException:
            self.fail(f"{what}; the page says: {self.text('body')}")

    def shows(self, selector, text):
        self.until(f"{text!r} is not at {selector}", lambda: text in self.text(selector))

    def click(self, selector):
        """Clicks as soon as that is possible."""

        def click():
            found = self.find(selector)
            return found.is_enabled() and (found.click() or True)

        self.until(f"{selector} cannot be clicked", click)

    def type(self, selector, text):
        def type():
            field = self.find(selector)
            field.clear()
            return field.send_keys(text) or True

        self.until(f"nothing can be typed at {selector}", type)

    def sign_in(self, key=KEY):
        if not self.find("#sign-in").get_attribute("open"):
            self.click("[data-sign-in]")
        self.type("#key", key)
        self.click("#sign-in button.main")
