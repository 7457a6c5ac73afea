"""Size of a large cohort's report, and how long it takes to make and to open in headless Chromium.

    python benchmarks/report_speed.py [--run RUN] [--isolates 5000] [--repeats 5]

Without --run, a hard cohort is simulated and called with pca_baseline first. Making is the whole command `copyfold
report`, start of Python included. Opening is counted by the browser, from the start of navigation to the end of the
load event, by when our script has filled the tables; then until the frame after it is painted. Each turn starts a
browser of its own. Sorting is the click on a heading of the table of calls until the next frame.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from selenium import webdriver

from common import machine, print_table

COPYFOLD = [sys.executable, "-m", "copyfold.cli.main"]
AFTER_PAINT = "const done = arguments[arguments.length - 1]; {act}; requestAnimationFrame(() => setTimeout(done, 0));"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a finished run")
    parser.add_argument("--isolates", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = given.run or _make_run(Path(scratch), given.isolates)
        report = Path(scratch) / "report.html"
        making, opening, painted, sorting = [], [], [], []
        for _ in range(given.repeats):
            began = time.perf_counter()
            subprocess.run([*COPYFOLD, "report", str(run), "--out", str(report), "-q"], check=True, capture_output=True)
            making.append(time.perf_counter() - began)
            times = _open(report)
            for seconds, found in zip((opening, painted, sorting), times, strict=True):
                seconds.append(found)
        size = report.stat().st_size / 1e6
    print(machine(torch.device("cpu")))
    print(f"report of {run.name}: {size:.2f} MB, {given.repeats} turns\n")
    named = (
        ("make it", making),
        ("open it, to load", opening),
        ("open it, to paint", painted),
        ("sort calls", sorting),
    )
    print_table([{"what": name, "median, s": statistics.median(each), "worst, s": max(each)} for name, each in named])


def _make_run(folder: Path, isolates: int) -> Path:
    cohort = folder / "cohort"
    commands = (
        ["cnv", "simulate", str(cohort), "-n", str(isolates), "--settings", "hard"],
        ["cnv", "train", str(cohort / "config.yaml"), "--set", "architecture=pca_baseline", "--device", "cpu"],
    )
    for command in commands:
        subprocess.run([*COPYFOLD, *command], check=True, stdout=subprocess.DEVNULL)
    return cohort / "run"


def _open(report: Path) -> tuple[float, float, float]:
    """Seconds to the load event, to the next frame, and of a sort."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"), log_output="/dev/null")
    browser = webdriver.Chrome(options=options, service=service)
    try:
        began = time.perf_counter()
        browser.get(report.resolve().as_uri())
        browser.execute_async_script(AFTER_PAINT.format(act=""))
        painted = time.perf_counter() - began
        timing = "const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd / 1000"
        load = browser.execute_script(timing)
        began = time.perf_counter()
        heading = "document.querySelectorAll('#calls-table thead button')[4].click()"
        browser.execute_async_script(AFTER_PAINT.format(act=heading))
        return load, painted, time.perf_counter() - began
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
