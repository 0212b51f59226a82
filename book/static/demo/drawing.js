// Signals on ECG grid paper and probabilities over time, as SVG that takes the page's colours.
import {isEcg} from "./channels.js";
import {extremes, median, range, spread} from "./signals.js";
import {clock} from "./text.js";

const MM = 3.6; // pixels of a millimetre of paper before the page scales it
const SPEED = 25 * MM, GAIN = 10 * MM; // of a second and of a millivolt
const STRIP = 18 * MM, EEG_ROW = 24; // heights of a row
const EEG_SCALES = [20, 50, 100, 200, 500, 1000, 2000]; // microvolts from one EEG channel to the next
const LEFT = 12, BELOW = 22, EEG_LEFT = 66;
const LEVELS = 5; // of the dots' size
const SVG = "http://www.w3.org/2000/svg";

const make = (name, attributes, text = "") => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
};

const sheet = (width, height, kind, label) => make("svg", {
  viewBox: `0 0 ${width} ${height}`, class: kind, role: "img", "aria-label": label, style: `--width: ${width}px`,
});

const number = x => x.toFixed(1);

const path = (xs, ys) => xs.map((x, i) => `${i ? "L" : "M"}${number(x)} ${number(ys[i])}`).join("");

const grid = (width, height, step, kind) => {
  const down = range(0, width + 0.01, step).map(x => `M${number(x)} 0V${number(height)}`);
  const across = range(0, height + 0.01, step).map(y => `M0 ${number(y)}H${number(width)}`);
  return make("path", {class: kind, d: [...down, ...across].join("")});
};

// Dots where weights are positive, the larger the more.
const dots = (xs, ys, weights, largest) => range(0, LEVELS).map(level => {
  const inside = w => w > 0.1 * largest && Math.min(Math.floor((LEVELS * w) / largest), LEVELS - 1) === level;
  const d = xs.map((x, i) => (inside(weights[i]) ? `M${number(x)} ${number(ys[i])}h0` : "")).join("");
  return make("path", {class: "dots", d, "stroke-width": 4 + 1.6 * level});
});

// What a row of EEG holds: as much as half of the channels move within.
const scaleOf = signals => EEG_SCALES.find(scale => scale >= median(signals.map(spread)) / 2) ?? EEG_SCALES.at(-1);

// What the caption says of a drawing's scale.
export const scaleText = (signals, card) => (isEcg(card)
  ? "25 mm/s, 10 mm/mV: a small square is 0.04 s and 0.1 mV." : `${scaleOf(signals)} uV from row to row.`);

// Leads below each other (values per channel), with names and, once they are known, weights of the same shape.
export const drawSignals = ({signals, rate, start}, card, weights) => {
  const onPaper = isEcg(card), left = onPaper ? 0 : EEG_LEFT, row = onPaper ? STRIP : EEG_ROW;
  const width = left + Math.max(10, signals[0].length / rate) * SPEED, height = row * signals.length + (onPaper ? 0 : row);
  const how = onPaper ? "on ECG paper" : "below each other";
  const label = `${signals.length} channels of the recording from ${clock(start)}, ${how}`;
  const svg = sheet(width, height + BELOW, "signals", label);
  const scale = onPaper ? GAIN : EEG_ROW / scaleOf(signals);
  if (onPaper) svg.append(grid(width, height, MM, "fine"), grid(width, height, 5 * MM, "coarse"));
  const largest = weights ? Math.max(1e-12, ...weights.map(weight => extremes(weight)[1])) : 0;
  signals.forEach((channel, i) => {
    const middle = median(channel), zero = row * (i + (onPaper ? 0.6 : 1));
    const xs = Array.from(channel, (_, t) => left + (t / rate) * SPEED);
    const ys = Array.from(channel, value => Math.min(Math.max(zero - (value - middle) * scale, 0), height));
    if (weights) svg.append(...dots(xs, ys, weights[i], largest));
    svg.append(make("path", {class: "signal", d: path(xs, ys)}));
    svg.append(make("text", {x: onPaper ? LEFT : 2, y: onPaper ? zero - row * 0.3 : zero + 4}, card.channels[i]));
  });
  for (const second of range(0, Math.floor(signals[0].length / rate) + 1, 2)) {
    const anchor = second === 0 ? "start" : left + second * SPEED > width - 30 ? "end" : "middle";
    svg.append(make("text", {x: left + second * SPEED, y: height + 17, "text-anchor": anchor}, clock(start + second)));
  }
  return svg;
};

// Probabilities of the windows over a recording, thresholds dashed, the shown piece marked.
export const drawWindows = (prediction, piece) => {
  const {card, starts, windows, window, seconds} = prediction, [left, width, height] = [40, 900, 170];
  const right = 96, x = time => left + (time / seconds) * (width - left - right), y = p => 12 + (1 - p) * (height - 24);
  const svg = sheet(width, height + BELOW, "windows", `Probabilities of ${windows.length} windows over ${clock(seconds)}`);
  const length = piece.signals[0].length / piece.rate;
  svg.append(make("rect", {
    class: "shown", x: number(x(piece.start)), y: 0, width: number(x(length) - left), height,
  }));
  for (const p of [0, 0.5, 1])
    svg.append(
      make("path", {class: "axis", d: `M${left} ${number(y(p))}H${width - right}`}),
      make("text", {x: left - 8, y: y(p) + 4, "text-anchor": "end"}, p));
  card.classes.forEach((name, k) => {
    const lines = windows.map((row, i) => (Number.isNaN(row[k]) ? "" :
      `M${number(x(starts[i]))} ${number(y(row[k]))}H${number(x(Math.min(starts[i] + window, seconds)))}`)).join("");
    svg.append(
      make("path", {class: `window class-${k % 5}`, d: lines}),
      make("path", {class: `threshold class-${k % 5}`, d: `M${left} ${number(y(card.thresholds[k]))}H${width - right}`}),
      make("path", {class: `window class-${k % 5}`, d: `M${width - right + 8} ${20 + 20 * k}h16`}),
      make("text", {x: width - right + 30, y: 25 + 20 * k}, name));
  });
  const anchors = ["start", "middle", "end"];
  [0, seconds / 2, seconds].forEach((time, i) =>
    svg.append(make("text", {x: x(time), y: height + 15, "text-anchor": anchors[i]}, clock(time))));
  return svg;
};
