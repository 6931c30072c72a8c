"""The report in a real browser: no errors, nothing fetched, sliders that tell the truth, text that does nothing."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate import Config, Result, ops, read

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no Chromium on this machine", allow_module_level=True)

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE = (
    "</script><script>window.pwned = 'script'</script>",
    "<img src=x onerror=\"window.pwned = 'image'\">",
    "\"' onmouseover=\"window.pwned = 'attribute'\" style='position:fixed;inset:0",
    "--><svg onload=\"window.pwned = 'svg'\">",
    "<style>body { display: none }</style>{{ 7 * 7 }}{% raw %}",
    "javascript:window.pwned='link' &lt;script&gt; \u2028 \x00\x1b[2J ",
    "\u202egnihtyna si siht\u202c \u2066\u2067 \u0645\u0631\u062d\u0628\u0627",
)
RULES = {
    "words": {"column": "gopher_word_count", "min": 40, "max": 260},
    "repeated": {"column": "gopher_duplicate_line_ratio", "max": 0.2},
    "letters": {"column": "gopher_alpha_word_ratio", "min": 0.6},
}


def documents(folder: Path) -> Path:
    """Documents with every fate; names, sources and texts of some try to break out of the page."""
    chance = random.Random(5)
    nouns = ["river", "stone", "window", "garden", "letter", "machine", "answer", "winter", "paper", "morning"]
    lines = []
    for number in range(160):
        nasty = HOSTILE[number % len(HOSTILE)] if number % 4 == 0 else ""
        text = " ".join(chance.choice(nouns) for _ in range(chance.randint(5, 300)))
        text += "\nagain and again" * (6 if number % 7 == 0 else 0)
        row = {
            "id": f"d{number}{nasty}",
            "text": f"{nasty} {text}",
            "source": f"web{nasty[:40]}",
            "language": nasty[:9],
        }
        lines += [row, {**row, "id": f"copy{number}", "text": text + " once more"}] if number % 10 == 0 else [row]
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("browser")
    corpus = read(str(documents(folder)), name="web", columns={"language": "language"}) | ops.Gopher()
    corpus = corpus | ops.Keep(rules=RULES) | ops.DedupMinhash()
    return corpus._with(annotate="all").run(str(folder / "out"), Config(workers=1))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield started
        started.close()


class Visit:
    """An open page and all that it complained of or asked for."""

    def __init__(self, browser: Any, path: Path, size: dict[str, int], scheme: str = "light", script: bool = True):
        self.context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=script)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def move(self, rule: int, side: str, stop: int) -> None:
        slider = f"input[data-rule='{rule}'][data-side='{side}']"
        script = "(it, stop) => { it.value = stop; it.dispatchEvent(new Event('input', { bubbles: true })) }"
        self.page.eval_on_selector(slider, script, stop)

    def outcome(self) -> int:
        said = self.page.inner_text(".outcome strong")
        return int(said.split(" of ")[0].replace(",", ""))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desk", "phone"])
def test_renders_without_a_complaint_and_asks_for_nothing(
    result: Result, browser: Any, size: dict[str, int], scheme: str
) -> None:
    with Visit(browser, result.path / "report.html", size, scheme) as visit:
        assert visit.complaints == []
        assert visit.asked == [(result.path / "report.html").as_uri()]
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(19, 23, 28)"}[scheme]


def test_text_of_documents_does_nothing(result: Result, browser: Any) -> None:
    with Visit(browser, result.path / "report.html", WIDE) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        for case in visit.page.query_selector_all(".case, .pair")[:40]:
            case.hover()
        assert visit.page.evaluate("window.pwned") is None
        assert visit.complaints == [] and len(visit.asked) == 1
        assert visit.page.evaluate("document.scripts.length") == 2
        assert visit.page.evaluate("document.querySelectorAll('img, iframe, object').length") == 0
        shown = visit.page.inner_text("body")
        assert all(word in shown for word in ("window.pwned", "</script><script>", "⟨202E⟩", "⟨1B⟩", "{{ 7 * 7 }}"))
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", shown)


def test_a_script_that_got_into_the_page_would_not_run(result: Result, browser: Any, tmp_path: Path) -> None:
    """The second lock: even unescaped, the policy refuses what is not the page's own script."""
    text = (result.path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(text.replace("<main>", "<main><script>window.pwned = 1</script>"))
    with Visit(browser, tmp_path / "page.html", WIDE) as visit:
        assert visit.page.evaluate("window.pwned") is None
        assert any("Content Security Policy" in said for said in visit.complaints)


def test_a_slider_says_what_what_if_says(result: Result, browser: Any) -> None:
    with Visit(browser, result.path / "report.html", WIDE) as visit:
        assert visit.outcome() == result.manifest["kept"]
        data = json.loads(visit.page.inner_text("#data"))["sliders"]
        for number, each in enumerate(data):
            for side, about in each["sides"].items():
                stops = sorted({0, len(each["stops"]) // 3, len(each["stops"]) // 2, len(each["stops"]) - 1})
                bounds = [each["stops"][stop] for stop in stops]
                told = curate.what_if(result, rule=each["rule"], bounds={each["rule"]: bounds}).curve(
                    each["rule"], side
                )
                kept = dict(zip(told["bound"].to_list(), told["documents"].to_list(), strict=True))
                for stop in stops:
                    visit.move(number, side, stop)
                    assert visit.outcome() == kept[each["stops"][stop]], (each["rule"], side, stop)
                visit.move(number, side, about["now"])


def test_a_slider_says_it_of_one_source_and_of_one_language(result: Result, browser: Any) -> None:
    with Visit(browser, result.path / "report.html", WIDE) as visit:
        data = json.loads(visit.page.inner_text("#data"))
        stops = data["sliders"][0]["stops"]
        curves = curate.what_if(result, rule="words", bounds={"words": stops}).curves
        labels = visit.page.eval_on_selector_all("#part option", "all => all.map((it) => it.textContent)")
        assert labels[0] == "all documents" and len(labels) > 8
        told = {
            (row["by"], row["value"], row["bound"]): (row["documents"], row["alone_documents"])
            for row in curves.filter(pl.col("side") == "min").to_dicts()
        }
        for by, value in [("source", "web"), ("language", "")]:
            visit.page.select_option("#part", str(labels.index(f"{by} {value or chr(0x2013)}")))
            for stop in (0, len(stops) // 2, len(stops) - 1):
                visit.move(0, "min", stop)
                said = visit.page.inner_text("output[for=r0min]")
                kept, alone = told[by, value, stops[stop]]
                assert re.match(rf"{kept:,} kept.* {alone:,} alone$", said), (by, stop, said)


def test_several_sliders_say_what_a_decision_with_them_keeps(result: Result, browser: Any) -> None:
    """And the command that the page offers is that decision."""
    with Visit(browser, result.path / "report.html", WIDE) as visit:
        data = json.loads(visit.page.inner_text("#data"))["sliders"]
        low, most = len(data[0]["stops"]) // 3, len(data[1]["stops"]) - 1
        visit.move(0, "min", low)
        visit.move(1, "max", most)
        words = {**RULES["words"], "min": data[0]["stops"][low]}
        repeated = {**RULES["repeated"], "max": data[1]["stops"][most]}
        decision = curate.decide(result, {"rules": {**RULES, "words": words, "repeated": repeated}})
        assert visit.outcome() == decision.kept != result.manifest["kept"]
        flags = visit.page.inner_text(".outcome code").split(" --set ")[1:]
        sets = dict(flag.split("=") for flag in flags)
        keep: Any = curate.Recipe.load(result.path / "recipe.yaml", sets=sets).steps[1].operator
        assert (keep.rule("words").min, keep.rule("repeated").max) == (words["min"], repeated["max"])


def test_works_by_keyboard_alone(result: Result, browser: Any) -> None:
    with Visit(browser, result.path / "report.html", WIDE) as visit:
        visit.page.focus("input[data-rule='0'][data-side='min']")
        before = visit.page.get_attribute("input[data-rule='0'][data-side='min']", "aria-valuetext")
        visit.page.keyboard.press("ArrowRight")
        after = visit.page.get_attribute("input[data-rule='0'][data-side='min']", "aria-valuetext")
        assert before != after and "kept" in str(after)
        visit.page.focus(".outcome button")
        visit.page.keyboard.press("Enter")
        assert visit.page.get_attribute("input[data-rule='0'][data-side='min']", "aria-valuetext") == before
        visit.page.focus("#examples + p ~ details summary")
        visit.page.keyboard.press("Enter")
        assert visit.complaints == []


def test_the_flow_adds_up_for_every_group_and_unit(result: Result, browser: Any) -> None:
    with Visit(browser, result.path / "report.html", WIDE) as visit:
        groups = visit.page.eval_on_selector_all("#group option", "all => all.map((it) => it.value)")
        assert len(groups) > 2
        for group in groups:
            visit.page.select_option("#group", group)
            lost, left = (
                visit.page.eval_on_selector_all(f".flow .{kind}", "all => all.map((it) => it.textContent)")
                for kind in ("lost", "left")
            )
            gone = [int(each.strip("−").replace(",", "") or 0) for each in lost]
            rest = [int(each.split(" ")[0].replace(",", "")) for each in left]
            assert all(one - taken == two for one, two, taken in zip(rest, rest[1:], gone[1:], strict=False))
            assert rest[0] - sum(gone) == rest[-1]
        visit.page.check("input[name=unit][value='2']")
        assert visit.page.inner_text(".flow li:last-child .left") != ""


def test_reads_without_its_script(result: Result, browser: Any) -> None:
    with Visit(browser, result.path / "report.html", WIDE, script=False) as visit:
        shown = visit.page.inner_text(".flow li:last-child .left")
        assert shown.startswith(f"{result.manifest['kept']:,}")
        assert not visit.page.is_visible(".outcome")


def test_pieces_of_a_notebook_work_in_their_frames(result: Result, browser: Any, tmp_path: Path) -> None:
    pieces: list[Any] = [result, result.histogram("gopher_word_count"), result.what_if("words"), result.examples()]
    html = "".join(piece._repr_html_() for piece in pieces)
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8><body>{html}", encoding="utf-8")
    with Visit(browser, tmp_path / "notebook.html", WIDE) as visit:
        frames = [frame for frame in visit.page.frames if frame.parent_frame]
        assert len(frames) == len(pieces) and visit.complaints == []
        slider = frames[2].locator("input[data-side=min]")
        before = frames[2].inner_text(".outcome strong")
        slider.evaluate("(it) => { it.value = 2; it.dispatchEvent(new Event('input')) }")
        assert frames[2].inner_text(".outcome strong") != before
        heights = visit.page.eval_on_selector_all("iframe", "all => all.map((it) => it.offsetHeight)")
        assert len(set(heights)) > 1, "frames are as high as what they hold"
        assert [frame.evaluate("window.pwned") for frame in frames] == [None] * len(frames)
