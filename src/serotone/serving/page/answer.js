// One answer in full: waveform, segments, player, probabilities, table.

import { bars, clock, doubt, dress, make, share } from "./looks.js";
import { outline } from "./sound.js";

const part = (id) => document.getElementById(id);

let shown = null; // { recording, bundle, wave, pressed }
let stopAt = Infinity;

export function show(recording, bundle) {
  const { answer } = recording;
  shown = { recording, bundle, wave: null, pressed: -1 };
  stop();
  part("detail").hidden = false;
  part("detail-title").textContent = recording.name;
  part("label").textContent = answer.label ?? "no emotion";
  part("doubt").textContent =
    answer.label === null ? answer.reason : `probability ${share(answer.confidence)}, ${doubt(answer)}`;
  const profile = answer.profile ? `adapted to ${answer.profile.name} (${answer.profile.count})` : "not adapted";
  const speech = `${clock(answer.speech_seconds)} of speech in ${clock(answer.duration_seconds)}`;
  const shares = Object.entries(answer.shares).map(([label, value]) => `${label} ${Math.round(100 * value)}\u00a0%`);
  const time = shares.length > 1 ? ` Over time: ${shares.join(", ")}.` : "";
  part("facts").textContent = `${speech}.${time} ${answer.bundle}, ${profile}.`;
  const reasons = answer.label !== null && answer.reason ? [`Uncertain: ${answer.reason}.`] : [];
  const terms = answer.non_commercial ? ["This answer is for non-commercial use only: its recogniser's licence says so."] : [];
  const remarks = [...reasons, ...answer.warnings, ...answer.notes, ...terms];
  part("remarks").replaceChildren(...remarks.map((text) => make("li", { text })));
  part("player").src = recording.address ??= URL.createObjectURL(recording.file);
  segments();
  table();
  choose(-1);
  draw();
  outline(recording.file, 1200).then((wave) => {
    if (shown?.recording === recording) {
      shown.wave = wave;
      draw();
    }
  });
}

export function hide() {
  stop();
  shown = null;
  part("detail").hidden = true;
}

const total = () => Math.max(shown.recording.answer.duration_seconds, 1e-3);

const describe = (segment) =>
  segment.label === null
    ? `${clock(segment.start)} to ${clock(segment.end)}: no speech`
    : `${clock(segment.start)} to ${clock(segment.end)}: ${segment.label}, probability ${share(segment.confidence)}, ${doubt(segment)}`;

function segments() {
  const { recording, bundle } = shown;
  const place = part("segments");
  const width = place.clientWidth;
  const buttons = recording.answer.segments.map((segment, number) => {
    const button = make("button", { type: "button", tabIndex: number === 0 ? 0 : -1, title: describe(segment) });
    const size = (segment.end - segment.start) / total();
    button.style.left = `${(100 * segment.start) / total()}%`;
    button.style.width = `${100 * size}%`;
    button.className = segment.label === null ? "none" : doubt(segment);
    button.setAttribute("aria-label", describe(segment));
    dress(button, bundle, segment.label);
    const words = segment.label === null ? "" : segment.label + (segment.uncertain ? "?" : "");
    if (words && size * width > 9 * words.length + 8) {
      button.append(make("span", { text: words }));
    }
    button.addEventListener("click", () => play(number));
    return button;
  });
  place.replaceChildren(...buttons);
  part("clock").replaceChildren(...[0, 0.5, 1].map((at) => make("span", { text: clock(at * total()) })));
}

function table() {
  const rows = shown.recording.answer.segments.map((segment, number) => {
    const button = make("button", { type: "button", text: "Play" });
    button.setAttribute("aria-label", `Play ${describe(segment)}`);
    button.addEventListener("click", () => play(number));
    const silent = segment.label === null;
    const words = [segment.start.toFixed(2), segment.end.toFixed(2), silent ? "no speech" : `${segment.label}${segment.uncertain ? "?" : ""}`];
    const sure = silent ? ["", ""] : [share(segment.confidence), doubt(segment)];
    return make("tr", {}, ...[...words, ...sure].map((text) => make("td", { text })), make("td", {}, button));
  });
  part("table").replaceChildren(...rows);
}

// Show the probabilities of one segment, or of the whole recording for -1.
function choose(number) {
  const { recording, bundle } = shown;
  const segment = recording.answer.segments[number];
  shown.pressed = number;
  part("bars-title").textContent = segment
    ? `Probabilities from ${clock(segment.start)} to ${clock(segment.end)}`
    : "Probabilities of the whole recording";
  bars(part("bars"), bundle, segment ?? recording.answer);
  [...part("segments").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === number)));
}

function draw() {
  const { recording, bundle, wave } = shown;
  const canvas = part("wave");
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d");
  for (const segment of recording.answer.segments) {
    if (segment.label !== null) {
      pen.globalAlpha = 0.4;
      pen.fillStyle = bundle.colours[segment.label] ?? "#E69F00";
      pen.fillRect((segment.start / total()) * width, 0, ((segment.end - segment.start) / total()) * width, height);
    }
  }
  pen.globalAlpha = 1;
  if (!wave) {
    return;
  }
  const loudest = Math.max(1e-6, ...wave.peaks.map(([low, high]) => Math.max(-low, high)));
  const step = (width * wave.seconds) / total() / wave.peaks.length;
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--wave");
  wave.peaks.forEach(([low, high], i) => {
    const top = (0.5 - (0.45 * high) / loudest) * height;
    const bottom = (0.5 - (0.45 * low) / loudest) * height;
    pen.fillRect(i * step, top, Math.max(0.7 * step, 1), Math.max(bottom - top, 1));
  });
}

async function play(number) {
  const player = part("player");
  const segment = shown.recording.answer.segments[number];
  choose(number);
  player.currentTime = segment ? segment.start : 0;
  stopAt = segment ? segment.end : Infinity;
  part("play").textContent = "Stop";
  try {
    await player.play();
  } catch (error) {
    stop();
    if (error.name === "NotSupportedError") {
      part("doubt").textContent += " (this browser cannot play the file)";
    }
    return;
  }
  requestAnimationFrame(follow);
}

function follow() {
  const player = part("player");
  const head = part("head");
  if (!shown || player.paused || player.currentTime >= stopAt) {
    stop();
    return;
  }
  head.hidden = false;
  head.style.left = `${Math.min(100, (100 * player.currentTime) / total())}%`;
  requestAnimationFrame(follow);
}

function stop() {
  part("player").pause();
  part("head").hidden = true;
  part("play").textContent = "Play all";
}

part("play").addEventListener("click", () => (part("player").paused ? play(-1) : stop()));

part("wave").addEventListener("click", (event) => {
  const seconds = (event.offsetX / part("wave").clientWidth) * total();
  const number = shown.recording.answer.segments.findIndex((segment) => seconds < segment.end);
  if (number >= 0) {
    play(number);
  }
});

part("segments").addEventListener("keydown", (event) => {
  const buttons = [...part("segments").children];
  const now = buttons.indexOf(document.activeElement);
  const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (buttons[next]) {
    event.preventDefault();
    buttons[now].tabIndex = -1;
    buttons[next].tabIndex = 0;
    buttons[next].focus();
    choose(next);
  }
});

window.addEventListener("resize", () => {
  if (shown) {
    const { pressed } = shown;
    segments();
    choose(pressed);
    draw();
  }
});
