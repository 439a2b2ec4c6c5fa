// The page: what was dropped, recorded or heard, who answers it, and what is shown.

import * as api from "./api.js";
import * as answer from "./answer.js";
import { Live } from "./live.js";
import { doubt, dress, make, share } from "./looks.js";
import { Microphone, recorded, wav } from "./sound.js";

const AT_A_TIME = 2;

const part = (id) => document.getElementById(id);

const state = { bundles: [], recordings: [], selected: null, profile: null, round: 0, live: null, recorder: null };

const bundle = () => state.bundles.find(({ name }) => name === part("bundle").value);

function say(text) {
  part("status").textContent = text;
}

function complain(text) {
  part("alert").replaceChildren(...(text ? [make("p", { text })] : []));
}

// Recordings are taken only when it is known who answers them: the section "take" is hidden until then.
async function begin() {
  try {
    state.bundles = await api.bundles();
  } catch (error) {
    part("door").hidden = error.status !== 401;
    part("take").hidden = true;
    complain(error.status === 401 ? "" : error.message);
    return;
  }
  part("door").hidden = true;
  part("take").hidden = false;
  complain("");
  const options = state.bundles.map(({ name, version }) => make("option", { value: name, text: `${name} ${version}` }));
  part("bundle").replaceChildren(...options);
  tell();
}

// What the chosen recogniser knows, and its terms.
function tell() {
  const { labels, languages, non_commercial: bound } = bundle();
  const spoken = languages.length ? ` Trained on ${languages.join(", ")}.` : "";
  part("bundle").title = `Recognises ${labels.join(", ")}.${spoken}`;
  part("terms").hidden = !bound;
  part("terms").textContent = bound ? "This recogniser is for non-commercial use only: its training data require that." : "";
}

// Answer recordings, a few at a time; what an earlier call still awaits of them is void.
async function recognize(recordings) {
  state.round += 1;
  const { round } = state;
  const waiting = [...recordings];
  recordings.forEach((recording) => Object.assign(recording, { answer: null, problem: null, round }));
  list();
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (next.round !== round) {
        continue;
      }
      say(waiting.length ? `Reading ${next.name}; ${waiting.length} more are waiting.` : `Reading ${next.name}.`);
      const outcome = { answer: null, problem: null };
      try {
        outcome.answer = await api.recognize(next, { bundle: bundle().name, profile: state.profile?.name });
      } catch (error) {
        outcome.problem = error;
      }
      if (next.round !== round) {
        continue;
      }
      Object.assign(next, outcome);
      list();
      if (outcome.answer && (state.selected === null || state.selected === next)) {
        select(next);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  if (state.recordings.some(({ answer: found, problem }) => !found && !problem)) {
    return; // a later call goes on
  }
  const failed = state.recordings.filter(({ problem }) => problem).length;
  say(`${state.recordings.length - failed} answered${failed ? `, ${failed} not` : ""}.`);
}

function summary({ answer: found, problem }) {
  if (!found) {
    return problem ? "not heard" : "waiting";
  }
  return found.label === null ? "no emotion" : `${found.label} ${share(found.confidence)}, ${doubt(found)}`;
}

function list() {
  part("list").hidden = !state.recordings.length;
  const rows = state.recordings.map((recording) => {
    const { name, answer: found, problem } = recording;
    const dot = make("span", { className: "dot" });
    if (found) {
      dress(dot, bundle(), found.label);
    }
    const label = make("span", { className: "name", text: name });
    const button = make("button", { type: "button" }, dot, label, make("span", { text: summary(recording) }));
    button.setAttribute("aria-current", String(recording === state.selected));
    button.addEventListener("click", () => (problem ? complain(problem.message) : found && select(recording)));
    if (!recording.own) {
      return make("li", {}, button);
    }
    recording.address ??= URL.createObjectURL(recording.file);
    return make("li", {}, button, make("a", { href: recording.address, download: name, text: `Save ${name}` }));
  });
  const focused = [...part("rows").children].findIndex((row) => row.contains(document.activeElement));
  part("rows").replaceChildren(...rows);
  rows[focused]?.firstChild.focus(); // the row is a new one
  part("adapt").hidden = !bundle()?.adaptable || state.profile !== null;
  part("plain").hidden = state.profile === null;
  const first = state.recordings.find(({ problem }) => problem)?.problem;
  complain(first ? first.message : "");
}

function select(recording) {
  state.selected = recording;
  list();
  const by = state.bundles.find(({ name, version }) => `${name} ${version}` === recording.answer.bundle);
  answer.show(recording, by ?? bundle());
}

// What was recorded here is nowhere else, so it can be saved.
function add(files, own = false) {
  const added = files.map((file) => ({ name: file.name || "recording.wav", file, own }));
  state.recordings.push(...added);
  if (added.length) {
    state.selected = null;
    recognize(added);
  }
}

async function clear() {
  for (const recording of state.recordings) {
    recording.round = null;
    URL.revokeObjectURL(recording.address);
  }
  Object.assign(state, { recordings: [], selected: null });
  answer.hide();
  await forget();
  list();
  say("");
}

async function forget() {
  const { profile } = state;
  state.profile = null;
  part("adapted").textContent = part("adapted").dataset.plain;
  if (profile) {
    await api.forget(profile.name).catch(() => {}); // it may be gone already
  }
}

// The browser may keep the page and show it again, or not, without telling: the profile is deleted in either case.
window.addEventListener("pagehide", () => {
  if (state.profile) {
    forget();
    list();
    part("adapted").textContent = "The profile was deleted when you left the page. Adapt again before you add recordings.";
  }
});

part("adapted").dataset.plain = part("adapted").textContent;

part("adapt").addEventListener("click", async () => {
  const others = ["adapt", "clear", "bundle"].map(part); // what they do would go amiss while the profile is made
  others.forEach((element) => { element.disabled = true; });
  say(`Adapting to ${state.recordings.length} recordings.`);
  try {
    state.profile = await api.adapt(state.recordings, { bundle: bundle().name });
    const { name, count } = state.profile;
    part("adapted").textContent = `Answers are adapted to the profile ${name}, made of ${count} clips or windows of these recordings.`;
    await recognize(state.recordings);
  } catch (error) {
    say("");
    complain(error.message);
  }
  others.forEach((element) => { element.disabled = false; });
});

part("plain").addEventListener("click", async () => {
  await forget();
  await recognize(state.recordings);
});

part("clear").addEventListener("click", clear);

part("choose").addEventListener("click", () => part("files").click());
part("files").addEventListener("change", () => {
  add([...part("files").files]);
  part("files").value = "";
});

part("bundle").addEventListener("change", async () => {
  tell();
  await forget();
  if (state.recordings.length) {
    await recognize(state.recordings);
  }
});

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    part("take").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && !part("take").hidden) {
      add([...event.dataTransfer.files]);
    }
  });
}

function press(button, pressed, text) {
  part(button).setAttribute("aria-pressed", String(pressed));
  part(button).textContent = text;
  part(button).disabled = false;
  const other = button === "record" ? "listen" : "record";
  part(other).disabled = pressed;
}

// There is one microphone at most: while it opens, neither button can be pressed.
function wait() {
  complain("");
  part("record").disabled = true;
  part("listen").disabled = true;
}

part("record").addEventListener("click", async () => {
  const { recorder } = state;
  if (recorder) {
    state.recorder = null;
    press("record", false, "Record");
    await recorder.microphone.close();
    const most = Math.max(...state.bundles.map((one) => one.sample_rate));
    const { pieces, microphone } = recorder;
    const sound = await recorded(pieces, microphone.rate, most).catch(() => wav(pieces, microphone.rate)); // or it were lost
    add([new File([sound], `recording ${state.recordings.length + 1}.wav`)], true);
    return;
  }
  wait();
  try {
    const pieces = [];
    const microphone = await Microphone.open((piece) => pieces.push(piece));
    state.recorder = { microphone, pieces };
    press("record", true, "Stop recording");
    say("Recording. Press Stop recording to hear what it says.");
  } catch (error) {
    press("record", false, "Record");
    complain(error.message);
  }
});

part("listen").addEventListener("click", async () => {
  if (state.live) {
    part("listen").disabled = true;
    await state.live.end();
    return;
  }
  const over = () => {
    state.live = null;
    press("listen", false, "Listen live");
  };
  const live = new Live(bundle(), state.profile?.name, {
    done: (summary, file) => {
      over();
      const name = `live ${state.recordings.length + 1}.wav`;
      const recording = { name, file, answer: { ...summary, name }, problem: null, own: true };
      state.recordings.push(recording);
      select(recording);
      say("The stream has ended; this is the answer to all of it.");
    },
    failed: (error) => {
      over();
      say("");
      complain(error.message);
    },
  });
  wait();
  try {
    await live.begin();
    state.live = live;
    press("listen", true, "Stop listening");
    say("Listening.");
  } catch (error) {
    press("listen", false, "Listen live");
    complain(error.message);
  }
});

part("door").addEventListener("submit", (event) => {
  event.preventDefault();
  const wrong = () => complain("The token is wrong.");
  if (api.setToken(part("token").value.trim())) {
    begin().then(() => part("door").hidden || wrong());
  } else {
    wrong();
  }
});

function download(name, type, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const answers = () => state.recordings.filter(({ answer: found }) => found).map(({ answer: found }) => found);

part("json").addEventListener("click", () => {
  download("serotone.json", "application/json", JSON.stringify({ schema: 1, predictions: answers() }, null, 2));
});

// The columns of `serotone predict --timeline --format csv`.
part("csv").addEventListener("click", () => {
  const found = answers();
  const labels = [...new Set(found.flatMap(({ segments }) => segments.flatMap((s) => Object.keys(s.probabilities))))];
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const columns = ["label", "confidence", "uncertain", "speech_seconds", "start", "end"];
  const head = ["name", ...columns, "channel", ...labels.map((label) => `p_${label}`), "profile"];
  const rows = found.flatMap(({ name, channel, profile, segments }) =>
    segments.map((segment) => [
      name,
      ...columns.map((column) => segment[column]),
      channel,
      ...labels.map((label) => segment.probabilities[label]),
      profile?.name,
    ]),
  );
  const lines = [head, ...rows].map((row) => row.map((value) => cell(String(value ?? ""))).join(","));
  download("serotone.csv", "text/csv", `${lines.join("\n")}\n`);
});

begin();
