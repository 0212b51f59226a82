// Arrays in, arrays out, as in biosignals.signals: what Python computes in 32 bits is rounded to 32 bits here.
import constants from "./constants.js";

const {fround} = Math;

// To the nearest whole number, halves to the even one.
export const round = x => {
  const nearest = Math.round(x);
  return Math.abs(x % 1) === 0.5 && nearest % 2 ? nearest - 1 : nearest;
};

export const sum = values => values.reduce((total, value) => total + value, 0);

export const mean = values => sum(values) / values.length;

export const range = (start, stop, step = 1) =>
  Array.from({length: Math.max(Math.ceil((stop - start) / step), 0)}, (_, i) => start + i * step);

// Lowest and highest value, NaN where one is.
export const extremes = values => {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (Number.isNaN(value)) return [NaN, NaN];
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
};

export const spread = values => {
  const [low, high] = extremes(values);
  return high - low;
};

export const median = values => {
  const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

// The largest value's place, the first of several; NaN does not count.
export const argmax = values => {
  let best = -1;
  for (let i = 0; i < values.length; i++)
    if (!Number.isNaN(values[i]) && (best < 0 || values[i] > values[best])) best = i;
  return best;
};

// First samples of windows; the last one ends with the recording.
export const windowStarts = (samples, length, step) => {
  const last = Math.max(samples - length, 0);
  return [...range(0, last, step), last];
};

// Runs of true in `mask`: start and end of each, the end not in it.
export const runs = mask => {
  const found = [];
  let start = -1;
  for (let i = 0; i <= mask.length; i++) {
    const inside = i < mask.length && mask[i];
    if (inside && start < 0) start = i;
    if (!inside && start >= 0) {
      found.push([start, i]);
      start = -1;
    }
  }
  return found;
};

// Lines drawn over missing samples (NaN) of a channel, in place, unless more than `most` of it is missing.
export const fillMissing = (channel, most) => {
  const gaps = runs(Uint8Array.from(channel, Number.isNaN));
  const missing = sum(gaps.map(([start, stop]) => stop - start));
  if (!missing || missing > most * channel.length) return;
  for (const [start, stop] of gaps) {
    const before = start > 0 ? channel[start - 1] : channel[stop];
    const after = stop < channel.length ? channel[stop] : before;
    for (let i = start; i < stop; i++)
      channel[i] = before + ((after - before) * (i - start + 1)) / (stop - start + 1);
  }
};

// Mean of each row and those before it, `width` in all, fewer at the start.
export const smooth = (rows, width) =>
  rows.map((row, i) => row.map((_, k) => mean(rows.slice(Math.max(i - width + 1, 0), i + 1).map(one => one[k]))));

// Values of overlapping windows over time: edges, and between them the mean of the windows that hold an instant.
export const meanOverTime = (starts, values, length, end) => {
  const micro = x => round(x * 1e6) / 1e6;
  const firsts = starts.map(micro), stops = starts.map(start => micro(Math.min(start + length, end)));
  const edges = [...new Set([...firsts, ...stops])].sort((a, b) => a - b);
  const means = edges.slice(0, -1).map(edge => {
    const here = values.filter((row, i) => firsts[i] <= edge && edge < stops[i]);
    return values[0].map((_, k) => mean(here.map(row => row[k]).filter(Number.isFinite)));
  });
  return [edges, means];
};

// Resampling: biosignals.signals.resampling.

const {zeros: ZEROS, beta: BETA, finest: FINEST} = constants.resampling;

// The fraction nearest to a number whose denominator is at most `largest`.
const fraction = (value, largest) => {
  let denominator = 1n;
  while (value % 1) {
    value *= 2;
    denominator *= 2n;
  }
  const numerator = BigInt(value), most = BigInt(largest);
  if (denominator <= most) return [Number(numerator), Number(denominator)];
  let [p0, q0, p1, q1, n, d] = [0n, 1n, 1n, 0n, numerator, denominator];
  for (;;) {
    const whole = n / d;
    if (q0 + whole * q1 > most) break;
    [p0, q0, p1, q1, n, d] = [p1, q1, p0 + whole * p1, q0 + whole * q1, d, n - whole * d];
  }
  const k = (most - q0) / q1;
  const found = 2n * d * (q0 + k * q1) <= denominator ? [p1, q1] : [p0 + k * p1, q0 + k * q1];
  return found.map(Number);
};

// The modified Bessel function of order 0.
const bessel = x => {
  let [term, total] = [1, 1];
  for (let k = 1; term > 1e-18 * total; k++) {
    term *= (x / (2 * k)) ** 2;
    total += term;
  }
  return total;
};

// A sinc under Kaiser's window.
const filterTaps = (up, down) => {
  const slow = Math.max(up, down), half = ZEROS * slow;
  const taps = range(-half, half + 1).map(i => {
    const sinc = i ? Math.sin((Math.PI * i) / slow) / ((Math.PI * i) / slow) : 1;
    return (sinc * bessel(BETA * Math.sqrt(1 - (i / half) ** 2))) / bessel(BETA);
  });
  const total = sum(taps);
  return taps.map(tap => (tap * up) / total);
};

// A signal with samples before and after it, on the line through its first and last one.
const alongItsLine = (x, before, after) => {
  const slope = fround(fround(x[x.length - 1] - x[0]) / Math.max(x.length - 1, 1));
  return Float32Array.from({length: before + x.length + after}, (_, i) => {
    const place = i - before;
    return place >= 0 && place < x.length ? x[place] : fround(x[0] + fround(slope * place));
  });
};

// A channel at another rate.
const resampleChannel = (x, up, down, taps) => {
  const half = ZEROS * Math.max(up, down), reach = Math.floor(half / up) + 1;
  const extended = alongItsLine(x, reach, reach + down);
  const y = new Float32Array(Math.ceil((x.length * up) / down));
  for (let i = 0; i < y.length; i++) {
    const phase = i % up, first = -Math.floor((half - phase * down) / up);
    let place = first + reach + Math.floor(i / up) * down, total = 0;
    for (let tap = half + phase * down - first * up; tap >= 0; tap -= up) total += extended[place++] * taps[tap];
    y[i] = total;
  }
  return y;
};

// Channels (Float32Array each) at another rate.
export const resample = (channels, rate, newRate) => {
  const [up, down] = fraction(newRate / rate, FINEST);
  if (up === down) return channels;
  const taps = filterTaps(up, down).map(fround);
  return channels.map(x => resampleChannel(x, up, down, taps));
};

// A channel without what lies below `edge` Hz: a Butterworth filter of second order, forwards and backwards.
export const highPass = (x, edge, rate) => {
  const k = Math.tan((Math.PI * edge) / rate), scale = 1 / (1 + Math.SQRT2 * k + k * k);
  const a1 = 2 * (k * k - 1) * scale, a2 = (1 - Math.SQRT2 * k + k * k) * scale, ends = 9;
  const filtered = values => {
    let [first, second] = [-scale * values[0], scale * values[0]]; // as if the first value had always been there
    return values.map(value => {
      const y = scale * value + first;
      first = -2 * scale * value - a1 * y + second;
      second = scale * value - a2 * y;
      return y;
    });
  };
  const last = x.length - 1;
  const extended = Float64Array.from({length: x.length + 2 * ends}, (_, i) => {
    const place = i - ends;
    if (place < 0) return 2 * x[0] - x[-place];
    return place > last ? 2 * x[last] - x[2 * last - place] : x[place];
  });
  return Float32Array.from(filtered(filtered(extended).reverse()).reverse().subarray(ends, ends + x.length));
};
