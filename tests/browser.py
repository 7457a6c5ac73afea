"""A headless Chromium that opens pages from disk, for tests of reports."""

import json
import shutil
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--force-prefers-reduced-motion",  # clicks must not meet a page that still scrolls
    "--window-size=1400,1000",
)


@contextmanager
def chromium(downloads):
    """A browser whose downloads land in a folder; skips where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = binary
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver, log_output="/dev/null"))
    try:
        yield browser
    finally:
        browser.quit()


def console_messages(browser):
    """What the page wrote to the console since the last call, errors of its content policy among them."""
    return [entry["message"] for entry in browser.get_log("browser")]


def addresses_asked(browser):
    """Addresses that were requested since the last call, but for files, data and blobs of the page itself."""
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    return [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:", "chrome:"))]
