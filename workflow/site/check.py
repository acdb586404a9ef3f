"""Opens every page of the site in a browser and looks for what a reader would stumble over: `make site`.

    python -m workflow.site.check

No error in the console, nothing that is missing or asked of another host, no broken picture, no link inside
the site that leads nowhere, no page wider than the window of a phone or of a laptop; the committed text
outputs are there, the search finds something, the dark mode is dark. Needs Chromium or Chrome.
"""

import contextlib
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import nbformat
from playwright.sync_api import Page, TimeoutError, sync_playwright

from genomic_ulmfit.profiles import ROOT
from workflow.experiments import NOTEBOOKS
from workflow.site.build import SITE

WIDTHS = (360, 1280)  # pixels
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOOK = """() => ({
    broken: [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src),
    links: [...document.querySelectorAll("a[href]")].map(a => a.href),
    anchors: [...document.querySelectorAll("[id]")].map(e => e.id),
    text: document.body.textContent,
})"""

# On a phone the theme lets all of the text scroll sideways together, which is no narrower page.
WIDE = """() => {
    const text = document.querySelector(".content");
    const hidden = text ? text.scrollWidth - text.clientWidth : 0;
    return Math.max(document.documentElement.scrollWidth, innerWidth + hidden);
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files, served on this machine meanwhile."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def watch(page: Page, address: str) -> list[str]:
    """The list to which is added, from now on, what goes wrong while pages load."""
    faults: list[str] = []

    def on_request(route):
        if route.request.url.startswith((address, "data:")):
            return route.continue_()
        faults.append(f"asks another host: {route.request.url}")
        route.abort()

    page.route("**/*", on_request)
    page.on("response", lambda r: faults.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    page.on("console", lambda said: faults.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    return faults


def look_at(page: Page, url: str) -> dict:
    """What is on a page, and how wide it is at each width."""
    page.goto(url, wait_until="load")
    # Pictures are loaded when they come near the window.
    page.evaluate(
        "() => document.querySelectorAll('img[loading=lazy]').forEach(i => { i.loading = 'eager' })"
    )
    page.wait_for_function("() => [...document.images].every(i => i.complete)")
    found = page.evaluate(LOOK)
    found["wide"] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found["wide"][width] = page.evaluate(WIDE)
    return found


def faults_of(found: dict) -> Iterator[str]:
    """What is wrong with a page as `look_at` has found it."""
    for width, wide in found["wide"].items():
        if wide > width:
            yield f"is {wide} pixels wide in a window of {width}"
    yield from (f"broken picture: {source}" for source in found["broken"])


def dead_links(found: dict[str, dict], address: str) -> Iterator[str]:
    """Links inside the site that lead to no file or to no place on a page."""
    for name, on_page in found.items():
        for link in dict.fromkeys(on_page["links"]):
            if not link.startswith(address):
                continue
            parts = urlsplit(link)
            target = unquote(parts.path).lstrip("/") or "index.html"
            anchor = unquote(parts.fragment)
            if not (SITE / target).is_file():
                yield f"{name}: {link} leads nowhere"
            elif anchor and target in found and anchor not in found[target]["anchors"]:
                yield f"{name}: {target} has no place {anchor}"


def lost_outputs(found: dict[str, dict]) -> Iterator[str]:
    """Notebooks without a page, and their text outputs that are not on it."""
    for path in NOTEBOOKS.values():
        name = path.replace(".ipynb", ".html")
        if name not in found:
            yield f"{path} has no page"
            continue
        text = "".join(found[name]["text"].split())
        for cell in nbformat.read(ROOT / path, 4).cells:
            for output in cell.get("outputs", []):
                if "".join(output.get("text", "").split()) not in text:
                    yield f"{name}: an output is missing: {output.text[:60]!r}"


def at_work(page: Page, address: str) -> Iterator[str]:
    """Faults of the search and of the dark mode."""
    page.goto(f"{address}/search.html?q=enhancer")
    try:
        page.wait_for_selector("ul.search li")
    except TimeoutError:
        yield "the search for 'enhancer' finds nothing"
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/index.html")
    colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")  # "rgb(19, 20, 22)"
    if max(map(int, re.findall(r"\d+", colour))) > 80:
        yield f"the dark mode has the background {colour}"


def check() -> list[str]:
    """All faults of the site; exits where there is no browser to look at it with."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        sys.exit(f"make site: no browser to check the pages with: install one of {', '.join(BROWSERS)}")
    names = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    arguments = ["--disable-gpu", "--disable-background-networking"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root otherwise
    with served(SITE) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=arguments)
        page = browser.new_page()
        page.set_default_timeout(180_000)  # milliseconds, for a machine that is busy
        loading, found, faults = watch(page, address), {}, []
        for name in names:
            found[name] = look_at(page, f"{address}/{quote(name)}")
            faults += [f"{name}: {fault}" for fault in (*loading, *faults_of(found[name]))]
            loading.clear()
        faults += [*dead_links(found, address), *lost_outputs(found), *at_work(page, address), *loading]
        browser.close()
    print(f"{len(names)} pages at {' and '.join(map(str, WIDTHS))} pixels: {len(faults)} faults")
    return faults


if __name__ == "__main__":
    faults = check()
    print("\n".join(faults))
    sys.exit(bool(faults))
