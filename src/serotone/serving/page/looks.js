// How emotions look: the bundle's colours, which colour-blind people tell apart, with a pattern for each.

const INK = "#1e2730aa";

const line = (degrees) => `repeating-linear-gradient(${degrees}deg, ${INK} 0 1px, transparent 1px 7px)`;
const dots = (from, to) => `radial-gradient(circle, transparent ${from}px, ${INK} ${from}px ${to}px, transparent ${to}px)`;

const PATTERNS = {
  "//": [line(-45)],
  "\\\\": [line(45)],
  "||": [line(90)],
  "--": [line(0)],
  xx: [line(-45), line(45)],
  "++": [line(0), line(90)],
  "..": [dots(0, 1.2)],
  oo: [dots(1.4, 2.4)],
  OO: [dots(2.4, 3.4)],
  "**": [dots(0, 2)],
};

const DOTTED = new Set(["..", "oo", "OO", "**"]);

// Give an element the look of an emotion; none where there is no label.
export function dress(element, bundle, label) {
  const pattern = label ? bundle.patterns[label] || "" : "";
  element.style.backgroundColor = label ? bundle.colours[label] || "#E69F00" : "";
  element.style.backgroundImage = (PATTERNS[pattern] || []).join(", ");
  element.style.backgroundSize = DOTTED.has(pattern) ? "8px 8px" : "";
}

export const doubt = (answer) => (answer.uncertain ? "uncertain" : "certain");

export const share = (value) => value.toFixed(2);

export function clock(seconds) {
  if (seconds < 60) {
    return `${seconds.toFixed(1)} s`;
  }
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// An element with its content; text stays text.
export function make(tag, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...(text === undefined ? children : [text]));
  return element;
}

// A bar for each emotion of a bundle.
export function bars(place, bundle, answer) {
  const rows = bundle.labels.flatMap((label) => {
    const value = answer?.probabilities[label] ?? 0;
    const fill = make("div", { className: "fill" });
    dress(fill, bundle, label);
    fill.style.width = `${100 * value}%`;
    fill.hidden = value < 0.005;
    const best = answer?.label === label ? " best" : "";
    return [
      make("span", { className: `name${best}`, text: label }),
      make("div", { className: "track" }, fill),
      make("span", { className: `number${best}`, text: answer?.label ? share(value) : "" }),
    ];
  });
  place.replaceChildren(...rows);
}
