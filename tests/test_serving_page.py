"""The page in a real browser: headless Chromium, driven by selenium.

`SEROTONE_PICTURES` names a folder that pictures of the page are written to; `SEROTONE_AXE` names ``axe.min.js`` of the
npm package axe-core, without which the check of accessibility is skipped.
"""

import base64
import io
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

import selenium.webdriver as selenium
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from made_server import running
from serotone import Recognizer
from serotone.cli.live import State, View
from serotone.recognition.loading import load_bundle
from serotone.recognition.prediction import Segment
from serotone.recognition.stream import Update
from toy_bundle import SAMPLE_RATE, buzz, make_adaptable_bundle, tone

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = os.environ.get("SEROTONE_AXE")
PICTURES = os.environ.get("SEROTONE_PICTURES")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here"),
]

SAID = np.concatenate([tone(4, 0.9), np.zeros(2 * SAMPLE_RATE, np.float32), buzz(4, 0.3), tone(3, 0.02)])
"""Angry, nobody, happy, sad."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    make_adaptable_bundle(folder / "toy", data=[{"name": "toy", "licence": "CC BY-NC 4.0", "non_commercial": True}])
    soundfile.write(folder / "call.wav", SAID, SAMPLE_RATE)
    for number in range(5):
        soundfile.write(folder / f"clip{number}.wav", tone(1, 0.05 + 0.1 * number), SAMPLE_RATE)
    (folder / "notes.txt").write_text("not audio", encoding="utf-8")
    soundfile.write(folder / "microphone.wav", tone(30, 0.8, rate=48000), 48000)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with running("--bundle", folder / "toy", "--workers", "1") as server:
        yield server


@contextmanager
def opened(folder):
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--force-prefers-reduced-motion",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options, selenium.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def browser(folder):
    with opened(folder) as driver:
        yield driver


@pytest.fixture
def page(browser, server):
    browser.set_window_size(1100, 1400)
    browser.get(server.url)
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "#bundle option"))
    browser.get_log("browser")
    yield browser
    severe = [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    expected = ("422", "favicon.ico")  # recordings that are no audio; what is shown of the API has no icon
    assert [message for message in severe if not any(part in message for part in expected)] == []


def until(holds, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)
    return value


def part(page, name):
    return page.find_element(By.ID, name)


def give(page, *paths):
    part(page, "files").send_keys("\n".join(map(str, paths)))


def answered(page, count=1):
    until(lambda: f"{count} answered" in part(page, "status").text)


def picture(page, name):
    if PICTURES:
        # The whole page, however long it is.
        size = page.execute_script(
            "return [document.documentElement.clientWidth, document.documentElement.scrollHeight]"
        )
        before = page.get_window_size()
        page.set_window_size(before["width"], size[1] + 150)
        time.sleep(0.3)
        page.save_screenshot(str(Path(PICTURES) / f"{name}.png"))
        page.set_window_size(before["width"], before["height"])


def test_a_file_goes_in_and_its_emotions_come_out(page, folder):
    give(page, folder / "call.wav")
    answered(page)
    expected = Recognizer(folder / "toy").predict(folder / "call.wav")
    assert part(page, "label").text == expected.label
    assert part(page, "doubt").text == f"probability {expected.confidence:.2f}, certain"
    rows = [row.text.split() for row in page.find_elements(By.CSS_SELECTOR, "#table tr")]
    assert [row[2] for row in rows] == ["angry", "no", "happy", "sad"]
    assert "non-commercial" in part(page, "terms").text
    assert "non-commercial" in part(page, "remarks").text
    assert "not adapted" in part(page, "facts").text
    drawn = page.execute_script(
        "const c = document.getElementById('wave');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "const seen = new Set(); for (let i = 0; i < d.length; i += 4) seen.add(d.slice(i, i + 4).join());"
        "return seen.size"
    )
    assert drawn > 4  # three emotions, silence and the waveform
    picture(page, "desktop")


def test_it_fits_a_phone(page, folder):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 760, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        give(page, folder / "call.wav")
        answered(page)
        assert page.execute_script("return document.documentElement.scrollWidth") <= 360
        inside = "const box = document.querySelector('.scroll'); return box.scrollWidth - box.clientWidth"
        assert page.execute_script(inside) <= 0
        name = page.find_element(By.CSS_SELECTOR, "#rows .name")
        assert name.size["width"] > 200  # the answer is below it, not next to it
        small = page.execute_script(
            "const large = b => b.closest('.segments, table') || b.offsetHeight >= 40;"
            "return [...document.querySelectorAll('button')].filter(b => b.offsetParent && !large(b)).map(b => b.id)"
        )
        assert small == []
        if PICTURES:
            shot = page.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            (Path(PICTURES) / "phone.png").write_bytes(base64.b64decode(shot["data"]))
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_segment_is_played_and_the_keyboard_is_enough(page, folder):
    give(page, folder / "call.wav")
    answered(page)
    first = page.find_element(By.CSS_SELECTOR, "#segments button")
    page.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_RIGHT)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    now = page.switch_to.active_element
    assert "happy" in now.get_attribute("aria-label")
    assert part(page, "bars-title").text.startswith("Probabilities from")
    now.send_keys(Keys.ENTER)
    until(lambda: page.execute_script("return document.getElementById('player').currentTime") > 5.9)
    assert now.get_attribute("aria-pressed") == "true"
    part(page, "play").click()
    until(lambda: part(page, "play").text == "Play all")


def test_several_files_are_adapted_to_and_the_answers_say_so(page, folder, server):
    give(page, *(folder / f"clip{number}.wav" for number in range(5)))
    answered(page, 5)
    page.find_elements(By.CSS_SELECTOR, "#rows button")[1].send_keys(Keys.ENTER)
    until(lambda: part(page, "detail-title").text == "clip1.wav")
    assert "clip1.wav" in page.switch_to.active_element.text
    part(page, "adapt").click()
    until(lambda: "adapted to profile-" in part(page, "facts").text)
    assert "made of 5 clips" in part(page, "adapted").text
    with server.client() as client:
        (kept,) = client.get("/v1/profiles").json()["profiles"]
        assert kept["count"] == 5
        picture(page, "adapted")
        until(lambda: part(page, "adapt").is_enabled())
        part(page, "plain").click()
        until(lambda: "not adapted" in part(page, "facts").text)
        assert client.get("/v1/profiles").json()["profiles"] == []


def test_a_file_that_is_no_audio_is_told_and_the_others_answered(page, folder):
    give(page, folder / "notes.txt", folder / "clip4.wav")
    until(lambda: "1 answered, 1 not" in part(page, "status").text)
    assert "notes.txt: not audio" in part(page, "alert").text
    assert part(page, "label").text == "angry"


def test_answers_are_downloaded(page, folder):
    give(page, folder / "call.wav")
    answered(page)
    part(page, "csv").click()
    part(page, "json").click()
    until(lambda: (folder / "serotone.csv").exists() and (folder / "serotone.json").exists())
    head, *rows = (folder / "serotone.csv").read_text(encoding="utf-8").splitlines()
    columns = "name,label,confidence,uncertain,speech_seconds,start,end,channel"
    assert head == f"{columns},p_angry,p_happy,p_sad,profile"
    assert [row.split(",")[1] for row in rows] == ["angry", "", "happy", "sad"]
    (prediction,) = json.loads((folder / "serotone.json").read_text(encoding="utf-8"))["predictions"]
    assert [segment["label"] for segment in prediction["segments"]] == ["angry", None, "happy", "sad"]


def test_live_mode_hears_the_microphone(page):
    part(page, "listen").click()
    until(lambda: part(page, "live-label").text == "angry")
    until(lambda: len(page.find_elements(By.CSS_SELECTOR, "#live-strip i[class]")) >= 3)
    picture(page, "live")
    part(page, "listen").click()
    until(lambda: part(page, "detail").is_displayed())
    assert part(page, "label").text == "angry"
    assert part(page, "listen").text == "Listen live"


def test_live_mode_shows_of_each_update_what_the_terminal_shows(page, folder):
    bundle = load_bundle(folder / "toy")
    said = [(0, 1, "sad", False), (0, 1, "sad", True), (0, 2.4, "sad", False), (0.5, 3.5, "sad", False),
            (4.5, 5, None, False), (5.2, 6.4, "angry", False), (0, 3, "happy", True),  # late, and not what is heard now
            (5.2, 6.9, "happy", False), (7, 7.5, None, False), (5.2, 6.9, "angry", True)]  # fmt: skip
    updates = [
        Update(Segment(start, end, label, dict.fromkeys(bundle.labels, 0.3), 0.9, end == 2.4, 1.0), None, final)
        for start, end, label, final in said
    ]
    view = View(io.StringIO(), bundle, "call")
    expected = []
    for update in updates:
        view.show([update], State(update.segment.end, 0.0, 0.0))
        cells = {str(second): list(cell) for second, cell in sorted(view._strip._cells.items())}
        expected.append([view._last.segment.label or "no speech", cells])
    view.close()
    assert expected[6] == ["angry", {"0": ["sad", False], "1": ["happy", False], "2": ["happy", False],
                                     "3": ["sad", False], "4": [None, False], "5": ["angry", False]}]  # fmt: skip
    shown = page.execute_async_script(
        """
        const [updates, done] = arguments;
        Promise.all([import("/page/live.js"), import("/page/api.js")]).then(async ([{ Live }, api]) => {
          const live = new Live((await api.bundles())[0], null, {});
          done(updates.map((update) => {
            live.hear({ kind: "update", ...update });
            const cells = live.cells.map(({ label, uncertain }) => [label, uncertain]);
            return [document.getElementById("live-label").textContent, Object.fromEntries(Object.entries(cells))];
          }));
        }).catch((error) => done(String(error)));
        """,
        [update.to_dict() for update in updates],
    )
    assert shown == expected
    strip = page.find_elements(By.CSS_SELECTOR, "#live-strip i[class]")
    assert len(strip) == sum(label is not None for label, _ in expected[-1][1].values())


def test_what_a_slow_way_loses_of_live_speech_is_not_played_afterwards_either(page):
    lost, sent, warning, played = page.execute_async_script(
        """
        const done = arguments[0];
        import("/page/live.js").then(({ Live }) => {
          const live = new Live({ name: "toy" }, null, {
            done: async ({ warnings: [warning] }, file) => {
              const view = new DataView(await file.arrayBuffer());
              const played = Array.from({ length: (file.size - 44) / 2 }, (_, i) => view.getInt16(44 + 2 * i, true));
              done([live.lost, sent, warning, played]);
            },
          });
          const sent = [];
          live.microphone = { rate: 10, close: async () => {} };
          live.socket = { readyState: WebSocket.OPEN, send: (piece) => sent.push(...piece) };
          for (const [sample, waiting] of [[0, 0], [0.25, 4e6], [0.5, 5e6], [1, 3.9e6]]) {
            live.socket.bufferedAmount = waiting;
            live.take(new Float32Array(2).fill(sample));
          }
          live.summary = { warnings: [] };
          live.close();
        }).catch((error) => done([String(error)]));
        """
    )
    assert (lost, sent, played) == (4, [0, 0, 1, 1], [0, 0, 32767, 32767])
    assert warning.startswith("0.4 s were lost")


def test_a_recording_is_made_answered_and_saved(page, folder):
    part(page, "record").click()
    until(lambda: part(page, "record").text == "Stop recording")
    time.sleep(1.5)
    part(page, "record").click()
    answered(page)
    assert part(page, "label").text == "angry"
    link = page.find_element(By.CSS_SELECTOR, "#rows a")
    assert (link.text, link.get_attribute("download")) == ("Save recording 1.wav", "recording 1.wav")
    picture(page, "recorded")
    link.click()
    saved = folder / "recording 1.wav"
    until(saved.exists)
    samples, rate = soundfile.read(saved)
    assert rate == SAMPLE_RATE  # the microphone's is 48000
    assert 0.7 < np.abs(samples).max() < 0.9


@contextmanager
def beginning_with(page, script):
    """Run a script before those of each page that is opened."""
    added = page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        yield
    finally:
        page.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


DROP = """
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(100)], "dropped.wav"));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
"""


def test_nothing_is_taken_before_the_page_knows_the_recognisers(page, folder):
    slow = """
        const plain = window.fetch;
        const open = new Promise((resolve) => { window.letGo = resolve; });
        window.fetch = async (path, options) => {
          await (path === "/v1/bundles" && open);
          return plain(path, options);
        };
    """
    with beginning_with(page, slow):
        page.refresh()
    assert [name for name in ("choose", "record", "listen") if part(page, name).is_displayed()] == []
    page.execute_script(DROP)
    assert page.find_elements(By.CSS_SELECTOR, "#rows button") == []
    page.execute_script("letGo()")
    until(lambda: part(page, "choose").is_displayed())
    give(page, folder / "clip4.wav")
    answered(page)


def test_a_recording_that_the_page_fails_on_ends_with_an_error(page, folder):
    page.execute_script("document.getElementById('bundle').replaceChildren()")
    give(page, folder / "clip4.wav")
    until(lambda: "0 answered, 1 not" in part(page, "status").text)
    assert "not heard" in page.find_element(By.CSS_SELECTOR, "#rows button").text
    assert part(page, "alert").text


def test_the_profile_is_deleted_when_the_page_is_left_by_a_link(page, folder, server):
    give(page, *(folder / f"clip{number}.wav" for number in range(5)))
    answered(page, 5)
    part(page, "adapt").click()
    until(lambda: "adapted to profile-" in part(page, "facts").text)
    page.find_element(By.CSS_SELECTOR, "footer a").click()
    with server.client() as client:
        until(lambda: client.get("/v1/profiles").json()["profiles"] == [])
    page.back()
    until(lambda: part(page, "choose").is_displayed())
    assert not part(page, "plain").is_displayed()
    if page.find_elements(By.CSS_SELECTOR, "#rows button"):  # the browser kept the page
        assert "was deleted" in part(page, "adapted").text
        assert part(page, "adapt").is_displayed()


@pytest.mark.parametrize(
    ("error", "remedy"),
    [("NotAllowedError", "allow it for this page"), ("NotFoundError", "connect one, then try again")],
)
def test_without_a_microphone_the_page_says_what_to_do(page, error, remedy):
    fails = f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}'); }}"
    page.execute_script(fails)
    part(page, "record").click()
    until(lambda: part(page, "alert").text == f"the microphone cannot be used ({error}); {remedy}")
    assert part(page, "record").is_enabled()
    assert part(page, "listen").is_enabled()


def test_a_second_click_does_not_open_a_second_microphone(page):
    page.execute_script(
        """
        window.media = [];
        const plain = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wish) => {
          await new Promise((resolve) => setTimeout(resolve, 500));
          media.push(await plain(wish));
          return media.at(-1);
        };
        for (const name of ["record", "record", "listen"]) {
          document.getElementById(name).click();
        }
        """
    )
    until(lambda: part(page, "record").text == "Stop recording")
    time.sleep(1.0)  # a second microphone would be open by now
    assert page.execute_script("return media.length") == 1
    part(page, "record").click()
    answered(page)
    assert page.execute_script("return media[0].getTracks().map(({ readyState }) => readyState)") == ["ended"]
    assert part(page, "listen").is_enabled()


def test_a_server_with_a_token_asks_for_it(browser, folder):
    with running("--bundle", folder / "toy", "--workers", "1", SEROTONE_TOKEN="0123456789abcdef") as server:
        browser.get(server.url)
        until(lambda: part(browser, "door").is_displayed())
        for wrong in ("0123456789abcdef\u201d", "wrong", "\u200b0123456789abcdef"):  # as pasted from a text
            part(browser, "token").send_keys(wrong, Keys.ENTER)
            until(lambda: "The token is wrong" in part(browser, "alert").text)
            assert part(browser, "door").is_displayed()
            assert browser.execute_script("return sessionStorage.length") == 0
            browser.refresh()
            until(lambda: part(browser, "door").is_displayed())
        part(browser, "token").send_keys("0123456789abcdef", Keys.ENTER)
        until(lambda: part(browser, "take").is_displayed())
        browser.refresh()
        until(lambda: part(browser, "take").is_displayed())
        give(browser, folder / "call.wav")
        answered(browser)
        part(browser, "listen").click()
        until(lambda: part(browser, "live-label").text == "angry")
        part(browser, "listen").click()
        until(lambda: not part(browser, "live").is_displayed())


def test_nothing_comes_from_elsewhere(page, folder, server):
    give(page, folder / "call.wav")
    answered(page)
    names = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert names
    assert [name for name in names if not name.startswith((server.url, f"blob:{server.url}"))] == []


@pytest.mark.skipif(not AXE, reason="SEROTONE_AXE does not name axe.min.js (npm pack axe-core)")
def test_axe_finds_no_fault(page, folder):
    give(page, folder / "call.wav", folder / "clip0.wav")
    answered(page, 2)
    part(page, "listen").click()
    until(lambda: part(page, "live-label").text == "angry")
    for scheme in ("light", "dark"):
        page.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        if scheme == "dark":
            picture(page, "dark")
        page.execute_script(Path(AXE).read_text(encoding="utf-8"))
        found = page.execute_async_script(
            "const done = arguments[0]; axe.run().then(done, e => done({error: String(e)}))"
        )
        assert "error" not in found, found
        faults = [
            (fault["id"], fault["impact"], [node["html"][:200] for node in fault["nodes"]])
            for fault in found["violations"]
        ]
        assert faults == []
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    part(page, "listen").click()
    until(lambda: not part(page, "live").is_displayed())
