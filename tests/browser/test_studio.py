"""The studio in a real browser, on the embedded model: what somebody sees, at both sizes, by light and in the dark.

`make test-browser` runs it. It writes the pictures of docs/studio.md where $IG_PICTURES names a folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from tests.browser.chromium import Browser, Page, browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.real,
    pytest.mark.skipif("IG_TEST_BROWSER" not in os.environ, reason="$IG_TEST_BROWSER is not set"),
]

PROMPT, SEED = "Make fun of a lazy dog.", "3"
WIDE, NARROW = (1280, 900), (390, 844)
LEAST_CONTRAST = 4.5  # WCAG 2.2, AA
CONTROLS = ("button", "textbox", "combobox", "spinbutton", "tab", "tabpanel", "region", "image")

FAINT = """(() => {
  const read = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const back = read(getComputedStyle(at).backgroundColor);
      if (back.length < 4 || back[3] === 1) return back;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const one = walk.currentNode.parentElement;
    const style = getComputedStyle(one);
    const unread = one.closest(":disabled, .marks, .hidden, .skip, svg") || !one.checkVisibility();
    if (unread || !walk.currentNode.data.trim()) continue;
    const ink = read(style.color);
    if (ink.length > 3 && ink[3] < 1) continue;
    const [a, b] = [light(ink), light(behind(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < LEAST) faint.push(`${walk.currentNode.data.trim().slice(0, 40)}: ${style.color}`);
  }
  return [...new Set(faint)];
})()""".replace("LEAST", str(LEAST_CONTRAST))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a studio over a copy of the default policy, with its cases."""
    folder = tmp_path_factory.mktemp("studio")
    for end in (".yaml", "_test.yaml", "_test.scores.jsonl"):
        (folder / f"mine{end}").write_bytes((files("ig_guardrail.policies") / f"default{end}").read_bytes())
    with _studio(folder / "mine.yaml", "--show-drafts") as found:
        yield found


@contextmanager
def _studio(policy: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "ig_guardrail", "studio", "--policy", str(policy), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as lines:
        try:
            yield lines.readline().removeprefix("studio: ").strip()
        finally:
            process.terminate()


@pytest.fixture(params=[(WIDE, False), (NARROW, True), (WIDE, True), (NARROW, False)], ids="{0[0][0]}".format)
def page(request: pytest.FixtureRequest, chromium: Browser, address: str) -> Iterator[Page]:
    """A page at each size, by light and in the dark."""
    (width, height), dark = request.param
    chromium.faults.clear()
    one = chromium.open(address, width, height, dark)
    one.wait("document.querySelector('#verdict').textContent.startsWith('valid: default')")
    yield one
    one.call("Page.close")
    assert chromium.faults == []


def test_a_policy_is_edited_and_its_faults_are_seen_and_mended(page: Page) -> None:
    page.find(
        "(() => { const t = document.querySelector('#text'); const at = t.value.indexOf('threshold: 0.62');"
        " t.focus(); t.setSelectionRange(at, at + 'threshold'.length); })()"
    )
    page.call("Input.insertText", text="treshold")
    page.wait("document.querySelector('#findings .error')")
    assert "did you mean `threshold`" in page.text("#findings")
    assert page.text(".marks u") == "treshold"
    assert page.find("document.querySelector('#save').disabled")
    page.click("#findings button")
    chosen = "(() => { const t = document.activeElement; return t.value.slice(t.selectionStart, t.selectionEnd); })()"
    assert page.find(chosen) == "treshold"
    _picture(page, "studio-findings", WIDE)
    page.click("#findings .help button")
    page.wait("document.querySelector('#findings .help button').textContent.includes('write')")
    page.press("Enter", code=13)
    page.call("Input.dispatchKeyEvent", type="char", text="\r")
    page.wait("document.querySelector('#verdict').textContent.startsWith('valid')")
    assert "threshold: 0.62" in page.find("document.querySelector('#text').value")
    _looks_right(page)


def test_an_insult_is_replaced_before_ones_eyes(page: Page) -> None:
    page.write("#seed", SEED)
    page.write("#prompt", PROMPT)
    page.press("Enter", modifiers=2, code=13)
    page.wait("document.querySelector('.drafts li')")
    page.wait("document.querySelector('.held') && !document.querySelector('.held').hidden")
    page.wait("document.querySelector('.receipt')")
    drafts = page.find("[...document.querySelectorAll('.drafts q')].map((one) => one.textContent)")
    assert drafts
    assert "toxic-tone" in page.text(".drafts")
    assert [draft for draft in drafts if draft in page.text(".output")] == []
    assert " ".join(page.text(".instead").split()) in " ".join(page.text(".output").split())
    state = page.text(".state")
    assert state.startswith("completed")
    assert ("cut off" in state) == ("cut off at its greatest length" in page.text(".receipt"))
    assert page.find("document.querySelectorAll('.chart .line').length") == 4  # two budgets, score and what is left
    assert page.find("document.querySelectorAll('.chart path.denied').length") > 0
    assert "highest score" in page.find("document.querySelector('.chart svg').getAttribute('aria-label')")
    _looks_right(page)
    _picture(page, "studio-run", WIDE, NARROW, of="body")


def test_the_counterexample_of_a_diff_is_seen(page: Page) -> None:
    page.find("document.querySelector('#tab-try').focus()")
    for _ in range(3):
        page.press("ArrowRight", code=39)
    assert page.find("document.activeElement.id") == "tab-compare"
    page.find(
        "(() => { const t = document.querySelector('#text'); const at = t.value.indexOf('0.62');"
        " t.focus(); t.setSelectionRange(at, at + 4); })()"
    )
    page.call("Input.insertText", text="0.80")
    page.wait("document.querySelector('#findings .warning')")  # what moves all below it, and is drawn
    page.click("#compare-form .main")
    page.wait("document.querySelector('#compare-found .example')")
    assert "B shows this answer, and A denies it" in page.text("#compare-found .example")
    assert "toxic-tone" in page.text("#compare-found .example")
    _looks_right(page)
    _picture(page, "studio-compare", NARROW, of="body")


def test_a_text_is_scored_and_cases_run(page: Page) -> None:
    page.click("#tab-score")
    page.write("#score-text", "You are a stupid and worthless fool, and everybody hates you.")
    page.click("#score-form .main")
    page.wait("document.querySelector('#score-found .notice')")
    assert "Denied by" in page.text("#score-found .notice")
    assert page.find("document.querySelector('#score-found svg') !== null")
    page.click("#tab-cases")
    page.click("#cases-form .main")
    page.wait("document.querySelector('#cases-found .notice')")
    assert page.text("#cases-found .notice").endswith(": 8 passed.")
    assert page.find("document.querySelector('#cases-found .notice.bad')") is None
    _looks_right(page)


def _looks_right(page: Page) -> None:
    """It fits its window, every text can be read, and all that is used has a name."""
    assert page.find("document.documentElement.scrollWidth <= innerWidth")
    assert page.find(FAINT) == []
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    used = [one for one in nodes if not one["ignored"] and one["role"]["value"] in CONTROLS]
    assert used
    assert [one["role"]["value"] for one in used if not one.get("name", {}).get("value")] == []


def _picture(page: Page, name: str, *sizes: tuple[int, int], of: str | None = None) -> None:
    """A picture for the documents, wide ones by light and narrow ones in the dark."""
    folder, size = os.environ.get("IG_PICTURES"), page.find("[innerWidth, innerHeight]")
    dark = page.find("matchMedia('(prefers-color-scheme: dark)').matches")
    if folder and tuple(size) in sizes and dark == (tuple(size) == NARROW):
        page.picture(Path(folder) / f"{name}-{size[0]}.png", of)
