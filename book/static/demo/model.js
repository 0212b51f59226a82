// A model's answer for a recording, as in biosignals.deployment: predict, plausibility, explain.
import {canonical, isEcg, isFurtherLead, isLead, isSomeLead, microvolts, refuseContradiction} from "./channels.js";
import constants from "./constants.js";
import {
  argmax, extremes, highPass, mean, meanOverTime, median, range, resample, round, runs, smooth, spread, sum, windowStarts,
} from "./signals.js";
import {clock, general, grouped, InvalidRecording, MissingChannels, percent, printable} from "./text.js";

const {derived: DERIVED, units: UNITS, predict: PREDICT, plausibility: USUAL, explain: EXPLAIN} = constants;
const {fround} = Math;

// The session of ONNX Runtime for a model: {card, session, Tensor}. Rejects with InvalidRecording where it does not
// load or does not fit its card.
export const openModel = async (runtime, bytes, card, name) => {
  let session;
  try {
    session = await runtime.InferenceSession.create(bytes, {executionProviders: ["wasm"], logSeverityLevel: 4});
  } catch (error) {
    throw new InvalidRecording(`${name}: ONNX Runtime cannot load it; take the model again (${error.message})`);
  }
  if (session.inputNames.join() !== "signals")
    throw new InvalidRecording(`${name} takes ${session.inputNames}, its card says signals; take both again`);
  return {card, session, Tensor: runtime.Tensor};
};

// Probabilities, an array for each window; windows: arrays of channels.
const run = async ({card, session, Tensor}, windows) => {
  const x = new Float32Array(windows.length * card.channels.length * card.samples);
  windows.flat().forEach((channel, i) => x.set(channel, i * card.samples));
  let found;
  try {
    const input = new Tensor("float32", x, [windows.length, card.channels.length, card.samples]);
    found = Object.values(await session.run({signals: input}))[0];
  } catch (error) {
    throw new InvalidRecording(`ONNX Runtime cannot run the model (${error.message})`);
  }
  if (found.dims.length !== 2 || found.dims[0] !== windows.length || !found.data.every(p => p > -0.01 && p < 1.01))
    throw new InvalidRecording("the model gives no probabilities; take it again");
  const classes = found.dims[1];
  if (classes !== card.classes.length)
    throw new InvalidRecording(
      `${card.model} gives ${classes} probabilities, its card names ${card.classes.length} classes`);
  return windows.map((_, i) =>
    Array.from(found.data.subarray(i * classes, (i + 1) * classes), p => Math.min(Math.max(p, 0), 1)));
};

// Channels.

const aliasOf = (name, card) => {
  const found = Object.entries(card.channel_aliases).find(([other]) =>
    canonical(name) === canonical(other) || (isSomeLead(name) && isSomeLead(other)));
  return found?.[1] ?? null;
};

// The rows of which a channel is the sum, with factors: itself, or I and II for a limb lead; or none.
const sharesOf = (wanted, present) => {
  const names = !present.includes(wanted) && Object.hasOwn(DERIVED, wanted)
    ? ["i", "ii"].map((name, i) => [name, DERIVED[wanted][i]]) : [[wanted, 1]];
  const twice = names.find(([name]) => present.indexOf(name) !== present.lastIndexOf(name));
  if (twice) throw new InvalidRecording(`the name ${twice[0]} stands twice`);
  if (!names.every(([name]) => present.includes(name))) return [];
  return names.map(([name, share]) => [present.indexOf(name), share]);
};

// What a recording without `missing` channels is told, and asked where one of its own may be meant.
const lacks = (parts, missing, card) => {
  const present = parts.flatMap(part => part.channels);
  let unnamed = present.filter(name => aliasOf(name, card));
  const hasLeads = present.some(name => isLead(canonical(name)));
  if (!unnamed.length && card.channels.length === 1 && present.length <= PREDICT.few && !hasLeads) unnamed = present;
  let text = `${card.model} needs ${missing.join(", ")}; the recording has ${present.join(", ")}`;
  if (unnamed.length && missing.length === 1) {
    const which = unnamed.length === 1 ? `is ${unnamed[0]}` : `which of ${unnamed.join(", ")} is`;
    text += `: ${which} lead ${missing[0]}? Then rename it, as in --rename "${unnamed[0]}=${missing[0]}"`;
  }
  return text;
};

const findPart = (parts, card) => {
  const alone = sum(parts.map(part => part.channels.length)) <= card.channels.length;
  const lacking = [];
  for (const part of parts) {
    const present = part.channels.map(name =>
      canonical((alone && !isFurtherLead(name) && aliasOf(name, card)) || name));
    const shares = card.channels.map(name => sharesOf(canonical(name), present));
    const missing = card.channels.filter((_, i) => !shares[i].length);
    if (!missing.length) return [part, shares];
    lacking.push(missing);
  }
  const fewest = lacking.reduce((best, one) => (one.length < best.length ? one : best));
  throw new MissingChannels(lacks(parts, fewest, card));
};

const inMicrovolts = (part, row) => {
  const factor = microvolts(part.units[row]);
  if (factor === null) {
    const unit = part.units[row].trim() || "no unit";
    throw new InvalidRecording(`${part.channels[row]} is in ${unit}; it must be in V, mV or uV`);
  }
  return part.values[row].map(value => value * fround(factor));
};

// The card's channels of a recording in the card's unit, and their rate.
const chooseChannels = (parts, card) => {
  const [part, shares] = findPart(parts, card), {rate} = part, rows = new Map();
  for (const [row] of shares.flat()) if (!rows.has(row)) rows.set(row, inMicrovolts(part, row));
  const x = shares.map(own => own
    .map(([row, factor]) => rows.get(row).map(value => factor * value))
    .reduce((total, other) => total.map((value, t) => value + other[t])));
  refuseValues(x, rate, card);
  refuseScaled([...rows.keys()].map(row => part.values[row]));
  refuseContradiction(x, card.channels);
  if (rate < 0.999 * card.sampling_rate)
    throw new InvalidRecording(
      `${general(rate)} Hz; ${card.model} needs ${general(card.sampling_rate)} Hz or more`);
  const seconds = x[0].length / rate, window = card.samples / card.sampling_rate;
  const needed = card.aggregation === "mean" ? Math.min(window, PREDICT.shortest) : window;
  if (seconds < 0.999 * needed) {
    const whole = Math.trunc(10 * seconds) / 10;
    throw new InvalidRecording(
      `${whole.toFixed(1)} s; ${card.model} needs ${general(needed)} s or longer`);
  }
  const unit = fround(UNITS[card.unit.toLowerCase()]);
  return [x.map(channel => channel.map(value => value / unit)), rate];
};

// Plausibility.

// The values of each whole second, one if there are fewer.
const inSeconds = (channel, rate) => {
  const length = Math.min(Math.max(round(rate), 1), channel.length);
  return range(0, Math.floor(channel.length / length)).map(i => channel.subarray(i * length, (i + 1) * length));
};

const swings = (channels, rate) => {
  const found = channels.map(channel => inSeconds(channel, rate).map(spread));
  return found[0].map((_, second) => Math.max(...found.map(row => row[second])));
};

const refuseSwing = (found, {least, most}, name) => {
  const moving = found.filter(swing => swing > 0), typical = moving.length ? median(moving) : least;
  if (typical >= least && typical <= most) return;
  const amount = typical < least ? `${general(typical, 2)} uV` : `${grouped(typical / 1e3)} mV`;
  throw new InvalidRecording(`${name} moves by ${amount}; are its unit and format right?`);
};

const refuseValues = (x, rate, card) => {
  x.forEach((channel, i) => {
    const missing = 1 - channel.filter(Number.isFinite).length / channel.length;
    if (missing)
      throw new InvalidRecording(`${card.channels[i]} holds NaN or infinity, ${percent(missing)} of it`);
  });
  const highest = Math.max(...x.flatMap(channel => extremes(channel).map(Math.abs)));
  if (highest > USUAL.highest)
    throw new InvalidRecording(`values up to ${grouped(highest / 1e3)} mV; is its unit right?`);
  const still = card.channels.filter((_, i) => !spread(x[i]));
  if (still.length) throw new InvalidRecording(`${still.join(", ")} never moves`);
  if (card.unit.toLowerCase() === "uv") refuseSwing(swings(x, rate), USUAL.eeg, "its liveliest channel");
  else x.forEach((channel, i) => refuseSwing(swings([channel], rate), USUAL.ecg, card.channels[i]));
};

// Refuses channels without a height of their own: each was scaled by itself, or all to a range.
const refuseScaled = channels => {
  const bounds = channels.map(extremes), near = (a, b, within) => Math.abs(a - b) < within;
  const deviations = channels.map(deviation), {scaled, alike, fewestAlike} = USUAL;
  if (channels.every((channel, i) => near(mean(channel), 0, scaled) && near(deviations[i], 1, scaled)))
    throw new InvalidRecording("its values were standardised (mean 0, standard deviation 1): take them in mV");
  for (const start of [0, -1])
    if (bounds.every(([low, high]) => near(low, start, scaled ** 2) && near(high, 1, scaled ** 2)))
      throw new InvalidRecording(`its values were scaled to lie from ${start} to 1: take them in mV`);
  const unlikeness = sizes => spread(sizes) / Math.max(...sizes);
  const spans = bounds.map(([low, high]) => high - low);
  if (channels.length >= fewestAlike && Math.min(unlikeness(spans), unlikeness(deviations)) < alike)
    throw new InvalidRecording(
      "its channels are all of the same height: each was scaled by itself, and its own height is lost");
};

const deviation = values => {
  const middle = mean(values);
  return Math.sqrt(mean(values.map(value => (value - middle) ** 2)));
};

// What the baseline of an ECG does as in few recordings of the training set: it "wanders", or "lies" off.
const unlikeTraining = (x, channels, rate) => {
  const seconds = x.map(channel => inSeconds(channel, rate).map(median));
  const length = Math.min(USUAL.stretch, seconds[0].length);
  const stretches = seconds.map(row =>
    range(0, Math.floor(row.length / length)).map(i => row.slice(i * length, (i + 1) * length)));
  const wander = channels.map(name => USUAL.wander[name.toUpperCase().startsWith("V") ? "chest" : "limb"]);
  const kinds = [
    ["wanders", deviation, wander, x => `by ${x.toFixed(2)} mV (standard deviation in ten seconds)`],
    ["lies", values => Math.abs(median(values)), channels.map(() => USUAL.offset), x => `${x.toFixed(2)} mV off zero`],
  ];
  for (const [what, measure, most, how] of kinds) {
    const found = stretches.map(row => row.map(measure));
    const unsteady = found[0].map((_, t) => found.some((row, i) => row[t] > most[i]));
    if (unsteady.filter(Boolean).length <= USUAL.mostUnsteady * unsteady.length) continue;
    const beyond = found.map((row, i) => row.filter(value => value > most[i]));
    const worst = argmax(beyond.map((values, i) => sum(values) / most[i]));
    return [what, `${how(median(beyond[worst]))} in ${channels[worst]} (${USUAL.usual} ${general(most[worst])} mV)`];
  }
  return null;
};

const refuseBaseline = async (model, x, still, rate, found) => {
  const unlike = unlikeTraining(x, model.card.channels, rate);
  if (!unlike) return;
  const [what, how] = unlike;
  const without = x.map(channel => {
    if (what === "wanders") return highPass(channel, PREDICT.highPass, rate);
    const middle = fround(median(channel));
    return channel.map(value => value - middle);
  });
  const {windows} = await score(model, without, still, rate);
  const other = wholeOf(windows, model.card);
  if (other.some((p, k) => Math.abs(p - found.probabilities[k]) > PREDICT.different))
    throw new InvalidRecording(
      `its baseline ${what} ${how}, and without that the answer is another:` +
      ` high-pass it at ${general(PREDICT.highPass)} Hz first`);
};

// Where channels keep one value for a second or a shorter window: a mask for each.
const findStill = (x, rate, card) => {
  const least = Math.max(2, Math.trunc(Math.min(PREDICT.still, card.samples / card.sampling_rate) * rate));
  const still = x.map(channel => {
    const mask = new Uint8Array(channel.length);
    const equal = channel.subarray(1).map((value, t) => (value === channel[t] ? 1 : 0));
    for (const [first, last] of runs(equal)) if (last - first >= least - 1) mask.fill(1, first, last + 1);
    return mask;
  });
  const goesOn = still[0].map((_, t) => (still.every(mask => mask[t]) ? 0 : 1)), count = sum(goesOn);
  if (!count) throw new InvalidRecording("none of its channels moves");
  still.forEach((mask, i) => {
    const share = sum(mask.map((value, t) => value & goesOn[t])) / count;
    if (share > constants.mostMissing)
      throw new InvalidRecording(`${card.channels[i]} stands still for ${percent(share)} of the time`);
  });
  return still;
};

// Windows.

// A channel that is shorter than `length`, repeated, or its last value where it lacks a sample or so.
const lengthen = (channel, length) => {
  if (channel.length >= length) return channel;
  const rounded = channel.length > 0.99 * length;
  return Float32Array.from({length}, (_, t) =>
    channel[rounded ? Math.min(t, channel.length - 1) : t % channel.length]);
};

// Starts of the windows in seconds, and their probabilities; NaN where the mean leaves a window out.
const score = async (model, recorded, still, recordedRate) => {
  const {card} = model, alone = card.aggregation === "maximum", window = card.samples / card.sampling_rate;
  const rate = alone ? recordedRate : card.sampling_rate, length = round(window * rate);
  const x = (alone ? recorded : resample(recorded, recordedRate, rate)).map(channel => lengthen(channel, length));
  const firsts = windowStarts(x[0].length, length, round(card.step * rate)), windows = [];
  for (let i = 0; i < firsts.length; i += constants.batch) {
    const cut = firsts.slice(i, i + constants.batch).map(first => {
      const piece = x.map(channel => channel.subarray(first, first + length));
      return alone ? resample(piece, rate, card.sampling_rate).map(row => row.subarray(0, card.samples)) : piece;
    });
    windows.push(...await run(model, cut));
  }
  const starts = firsts.map(first => first / rate);
  const shares = starts.map(start => still.map(mask => {
    const first = round(start * recordedRate), piece = mask.subarray(first, first + round(window * recordedRate));
    return sum(piece) / piece.length;
  }));
  if (alone) {
    const scores = windows.map((row, i) => (shares[i].every(share => share === 1) ? row.map(() => 0) : row));
    return {starts, windows: smooth(scores, card.smoothing)};
  }
  const scores = windows.map((row, i) =>
    (shares[i].some(share => share > constants.mostMissing) ? row.map(() => NaN) : row));
  if (scores.flat().every(Number.isNaN))
    throw new InvalidRecording("a channel stands still in each of its windows");
  return {starts, windows: scores};
};

const wholeOf = (windows, card) => card.classes.map((_, k) => {
  const own = windows.map(row => row[k]);
  return card.aggregation === "mean" ? mean(own.filter(p => !Number.isNaN(p))) : Math.max(...own);
});

// A model's prediction for the parts of a recording: {card, probabilities, starts, windows, window, seconds}.
export const predict = async (parts, model) => {
  const {card} = model, [x, rate] = chooseChannels(parts, card), still = findStill(x, rate, card);
  const {starts, windows} = await score(model, x, still, rate), seconds = x[0].length / rate;
  const window = Math.min(card.samples / card.sampling_rate, seconds);
  const found = {card, probabilities: wholeOf(windows, card), starts, windows, window, seconds};
  if (isEcg(card)) await refuseBaseline(model, x, still, rate, found);
  return found;
};

// Episodes.

const leastOf = ({card, seconds}) => {
  const least = card.aggregation === "maximum" ? 0 : PREDICT.episodes[card.task] ?? null;
  return least === null || seconds < least ? null : least;
};

// Runs of true that last `least` seconds, those less than that apart joined.
const lasting = (above, starts, ends, least) => {
  const found = [];
  for (const [first, stop] of runs(above)) {
    if (ends[stop - 1] - starts[first] < least) continue;
    if (found.length && starts[first] - ends[found.at(-1)[1] - 1] < least) found.at(-1)[1] = stop;
    else found.push([first, stop]);
  }
  return found;
};

const overTime = ({starts, windows, window, seconds}) => meanOverTime(starts, windows, window, seconds);

// Where classes stay above their thresholds: {name, start, end, highest}; null where none are spoken of.
const episodes = prediction => {
  const {card, starts, windows, window, seconds} = prediction, least = leastOf(prediction);
  if (least === null) return null;
  const whole = card.aggregation === "maximum";
  const [edges, p] = whole ? [starts, windows] : overTime(prediction);
  const ends = whole ? edges.map(edge => Math.min(edge + window, seconds)) : edges.slice(1);
  return card.classes.flatMap((name, k) =>
    lasting(p.map(row => row[k] >= card.thresholds[k]), edges, ends, least).map(([first, stop]) => ({
      name, start: edges[first], end: ends[stop - 1], highest: Math.max(...p.slice(first, stop).map(row => row[k])),
    })));
};

const burdenOf = (prediction, own) => {
  const [edges, p] = overTime(prediction);
  const counted = p.map((row, i) => (row.every(Number.isFinite) ? edges[i + 1] - edges[i] : 0));
  const inside = counted.filter((_, i) => own.some(({start, end}) => edges[i] > start - 1e-5 && edges[i + 1] < end + 1e-5));
  return sum(inside) / sum(counted);
};

// What else is to be said of a prediction, in sentences.
export const remarks = prediction => {
  const {card, windows, window, seconds} = prediction, found = episodes(prediction), lines = [];
  const least = leastOf(prediction), duration = least ? ` of ${general(least)} s or longer` : "";
  for (const name of found ? card.classes : []) {
    const own = found.filter(one => one.name === name), burden = burdenOf(prediction, own);
    const counted = `${own.length} episode${own.length === 1 ? "" : "s"}${duration}`;
    lines.push(`${name}: ${counted}, ${(100 * burden).toFixed(1)} % of ${clock(seconds)}`);
    for (const one of own.slice(0, PREDICT.mostLines))
      lines.push(`${name} from ${clock(one.start)} to ${clock(one.end)}, up to ${one.highest.toFixed(3)}`);
    if (own.length > PREDICT.mostLines) lines.push(`and ${own.length - PREDICT.mostLines} more`);
  }
  const leftOut = windows.filter(row => row.some(Number.isNaN)).length;
  if (leftOut)
    lines.push(`${leftOut} of ${windows.length} windows are left out: a channel stands still in them`);
  const needed = card.samples / card.sampling_rate;
  if (window < 0.99 * needed)
    lines.push(`${general(seconds, 3)} s are repeated to fill a window of ${general(needed)} s`);
  return lines.map(printable);
};

const AT_A_TIME = 8; // masked windows, between which the page answers its reader

// Where the model looks: biosignals.deployment.explain and biosignals.evaluation.occlusion.

const logit = p => {
  const inside = Math.min(Math.max(p, EXPLAIN.smallest), 1 - EXPLAIN.smallest);
  return Math.log(inside / (1 - inside));
};

// A channel with a piece of it replaced by a line.
const masked = (channel, start, width) => {
  const copy = channel.slice(), last = channel.length - 1, stop = Math.min(start + width, last + 1);
  const [before, after] = [channel[Math.max(start - 1, 0)], channel[Math.min(stop, last)]];
  for (let t = start; t < stop; t++) copy[t] = before + ((after - before) * (t - start + 1)) / (stop - start + 1);
  return copy;
};

// By how much the logit of a class falls where a window is masked: weights of each channel.
const occlude = async (model, window, target, width, pause) => {
  const starts = windowStarts(window[0].length, width, Math.max(width >> 1, 1));
  const ask = async windows => (await run(model, windows)).map(row => logit(row[target]));
  const [whole] = await ask([window]), counts = new Float32Array(window[0].length), weights = [];
  for (const start of starts) for (let t = start; t < start + width; t++) counts[t]++;
  for (const [row, channel] of window.entries()) {
    const logits = [];
    for (let i = 0; i < starts.length; i += AT_A_TIME) {
      await pause();
      const copies = starts.slice(i, i + AT_A_TIME).map(start =>
        window.map((one, other) => (other === row ? masked(one, start, width) : one)));
      logits.push(...await ask(copies));
    }
    const weight = new Float32Array(channel.length);
    starts.forEach((start, i) => {
      for (let t = start; t < start + width; t++) weight[t] += whole - logits[i];
    });
    weights.push(weight.map((value, t) => value / counts[t]));
  }
  return weights;
};

// The piece of a recording that is shown: around the window with the highest probability of the class that is
// furthest above its threshold: {signals, rate, start, target}, in the card's unit and at its rate.
export const shownPiece = (parts, prediction) => {
  const {card, probabilities, starts, windows, window, seconds} = prediction;
  const [x, rate] = chooseChannels(parts, card);
  const target = argmax(probabilities.map((p, k) => logit(p) - logit(card.thresholds[k])));
  const length = Math.min(Math.max(EXPLAIN.shown, window), seconds);
  const middle = starts[argmax(windows.map(row => row[target]))] + window / 2;
  const start = Math.min(Math.max(middle - length / 2, 0), seconds - length);
  const cut = x.map(channel => channel.subarray(round(start * rate), round((start + length) * rate)));
  return {signals: resample(cut, rate, card.sampling_rate), rate: card.sampling_rate, start, target};
};

// Weights of a shown piece, positive where masking lowers the logit; pause: awaited between runs, it may throw to stop.
export const explain = async (model, {signals, target}, pause) => {
  const {card} = model, samples = signals[0].length;
  const width = Math.max(round(EXPLAIN.piece[card.unit.toLowerCase()] * card.sampling_rate), 2);
  const x = signals.map(channel => Float32Array.from({length: Math.max(samples, card.samples)}, (_, t) => channel[t % samples]));
  const starts = windowStarts(samples, card.samples, round(card.step * card.sampling_rate));
  const weights = signals.map(() => new Float32Array(samples)), counts = new Float32Array(samples);
  for (const start of starts) {
    const window = x.map(channel => channel.slice(start, start + card.samples));
    const own = await occlude(model, window, target, width, pause);
    for (let t = start; t < Math.min(start + card.samples, samples); t++) {
      counts[t]++;
      own.forEach((weight, row) => (weights[row][t] += weight[t - start]));
    }
  }
  return weights.map(weight => weight.map((value, t) => value / counts[t]));
};
