// WFDB records, as in biosignals.data.wfdb_records: a header (.hea) with one or more signal files.
import {microvolts} from "./channels.js";
import constants from "./constants.js";
import {fillMissing, sum} from "./signals.js";
import {general, InvalidRecording, quoted, refuseLong} from "./text.js";

const {
  finest, coarsest, longFormats, highestBaseline, largestHeader, largestFile, longestLine, mostSignals,
  missingCounts, bytesPerSample, matlabTypes,
} = constants.wfdb;
const FIELDS = String.raw`(?<gain>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\((?<baseline>-?\d+)\))?(?:/(?<unit>\S+))?`;
const FILE = String.raw`(?<file>\S+|[^/\\]+?)\s+(?<format>\d+)(?:x(?<perFrame>\d+))?(?::(?<skew>\d+))?(?:\+(?<offset>\d+))?`;
const NUMBERS = block => String.raw`(?:\s+(?<resolution>-?\d+)(?:\s+(?<zero>-?\d+)(?:\s+(?<initial>-?\d+)` +
  String.raw`(?:\s+(?<checksum>-?\d+)${block})?)?)?)?`;
// After all fields a name may begin with a digit, after fewer it may not.
const SIGNAL_LINES = [
  new RegExp(`^${FILE}\\s+${FIELDS}${NUMBERS(String.raw`\s+(?<block>-?\d+)`)}(?:\\s+(?<name>\\S.*))?$`, "u"),
  new RegExp(`^${FILE}(?:\\s+${FIELDS}${NUMBERS("")})?` +
    String.raw`(?:\s+(?<name>(?!(?:nan|inf[\p{L}\p{N}_]*)[/(])[^\s\d.+\-].*))?$`, "u"),
];

const damaged = why => new InvalidRecording(`header is damaged: ${why}`);

const modulo16 = x => ((x % 65536) + 65536) % 65536;

const decodeText = bytes => {
  const wide = {"255,254": "utf-16le", "254,255": "utf-16be"}[`${bytes[0]},${bytes[1]}`];
  try {
    return new TextDecoder(wide ?? "utf-8", {fatal: true}).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
};

const parseRate = field => {
  const text = field.split(/[/(]/)[0], rate = Number(text);
  return text.trim() && rate > 0 && rate < 1e7 ? rate : null;
};

const matchLine = line => {
  const [all, fewer] = SIGNAL_LINES.map(pattern => pattern.exec(line)?.groups);
  return all?.block !== undefined ? all : fewer;
};

// What a signal's line says, with WFDB's defaults for what it leaves out.
const parseLine = line => {
  const found = line.length <= longestLine ? matchLine(line) : null;
  if (!found) throw damaged(`${quoted(line.slice(0, 80))} is no signal's line`);
  if (/[/\\]/.test(found.file) || [".", ".."].includes(found.file) || /\p{C}/u.test(found.file))
    throw new InvalidRecording("its header names a file outside of its folder: refused");
  const number = name => Number(found[name] ?? 0);
  const gain = number("gain") || 200, unit = found.unit ?? "mV", offset = number("offset");
  const baseline = Number(found.baseline ?? number("zero")), factor = (microvolts(unit) ?? 1) / gain;
  const smallest = longFormats.includes(found.format) ? finest / 65536 : finest;
  const refuse = why => new InvalidRecording(`header is damaged (${why})`);
  if (!(Math.abs(factor) >= smallest && Math.abs(factor) <= coarsest))
    throw refuse(`by its gain a count is ${general(factor)} uV`);
  if (Math.abs(baseline) > highestBaseline) throw refuse(`it gives a baseline of ${general(baseline)} counts`);
  if (offset > largestFile) throw refuse(`its samples start at byte ${general(offset)}`);
  return {
    file: found.file, format: found.format, perFrame: Number(found.perFrame ?? 1), skew: number("skew"), offset,
    gain, baseline, unit, checksum: modulo16(number("checksum")), name: found.name ?? "",
  };
};

// Frames per second, frames (0: not said) and the line of each signal that has a file.
const parseHeader = (bytes, stem) => {
  if (bytes.length > largestHeader) throw new InvalidRecording("header is too large to be a WFDB header");
  const lines = decodeText(bytes).split(/[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]/).map(line => line.trim());
  const [record = "", ...signals] = lines.filter(line => line && !line.startsWith("#"));
  const blanks = record.startsWith(`${stem} `) ? stem.split(" ").length - 1 : 0; // in the name of the record
  const fields = record.split(" ").slice(blanks).join(" ").split(/\s+/), rate = fields.length > 2 ? parseRate(fields[2]) : 250;
  if (!/^[-+]?\d+$/.test(fields[1] ?? "") || rate === null)
    throw damaged(`${quoted(record.slice(0, 80))} is no record line`);
  if (fields[0].includes("/"))
    throw new InvalidRecording("a record of several segments, which this page does not read; biosignals predict does");
  const count = Number(fields[1]);
  if (!count) throw new InvalidRecording("its header names no signal file");
  if (!(count >= 1 && count <= Math.min(signals.length, mostSignals)))
    throw damaged(`it announces ${count} signals and describes ${signals.length}`);
  const there = signals.slice(0, count).map(parseLine).filter(line => line.file !== "~" && line.format !== "0");
  if (!there.length) throw new InvalidRecording("its header names no signal file");
  return {rate, frames: /^\d+$/.test(fields[3] ?? "") ? Number(fields[3]) : 0, lines: there};
};

// Refuses a .mat file that is not the matrix for which its WFDB header was made.
const checkMatlabHeader = (name, start, format, channels, samples) => {
  if (!name.toLowerCase().endsWith(".mat") || !Object.hasOwn(matlabTypes, format)) return;
  const view = new DataView(start.buffer, start.byteOffset, start.length);
  const [kind, rows, columns, imaginary, length] = [0, 4, 8, 12, 16].map(place =>
    start.length >= 20 ? view.getInt32(place, true) : 0);
  const fits = kind === matlabTypes[format] && imaginary === 0 && length === start.length - 20 &&
    (rows === channels || channels === 1) && rows * columns >= channels * samples;
  if (!fits)
    throw new InvalidRecording(
      `${name} is no MATLAB 4 file of ${channels} x ${samples} numbers in format ${format}, as its header` +
      " says: it was saved again, or is damaged; take the one that came with the header");
};

// The count of sample i of a file, by its format.
const DECODERS = {
  16: view => i => view.getInt16(2 * i, true),
  61: view => i => view.getInt16(2 * i, false),
  160: view => i => view.getUint16(2 * i, true) - 32768,
  32: view => i => view.getInt32(4 * i, true),
  80: view => i => view.getUint8(i) - 128,
  24: view => i => (view.getUint16(3 * i, true) | (view.getInt8(3 * i + 2) << 16)),
  212: view => i => {
    const place = 3 * (i >> 1), middle = view.getUint8(place + 1);
    const count = i % 2 ? ((middle >> 4) << 8) | view.getUint8(place + 2) : ((middle & 15) << 8) | view.getUint8(place);
    return count > 2047 ? count - 4096 : count;
  },
};

const findFile = (files, name) => {
  const other = [...files.keys()].find(one => one.toLowerCase() === name.toLowerCase());
  const found = files.get(name) ?? files.get(other);
  if (!found) throw new InvalidRecording(`${name}, which its header names, is not beside it`);
  return found;
};

// How many frames can be read of what the header announces.
const countFrames = (header, files) => {
  const there = [], names = new Set(header.lines.map(line => line.file));
  for (const [name, bytes] of Array.from(names, name => [name, findFile(files, name)])) {
    const own = header.lines.filter(line => line.file === name);
    const {format, offset} = own[0], perFrame = sum(own.map(line => line.perFrame));
    if (!own.every(line => line.perFrame)) throw damaged(`no samples in a frame of ${name}`);
    const known = Object.hasOwn(missingCounts, format);
    if (!known || own.some(line => line.format !== format || line.offset !== offset)) {
      const forms = [...new Set(own.map(line => line.format))].sort().join(", ");
      throw new InvalidRecording(`${name} is of format ${forms}, which is not known`);
    }
    if (!Object.hasOwn(DECODERS, format) || own.some(line => line.skew))
      throw new InvalidRecording(
        `${name} is of format ${format}${own.some(line => line.skew) ? " with skew" : ""}, ` +
        "which this page does not read; biosignals predict does");
    there.push([Math.floor(Math.trunc((bytes.length - offset) / bytesPerSample[format]) / perFrame), name]);
    checkMatlabHeader(name, bytes.subarray(0, Math.min(offset, 1024)), format, perFrame, header.frames);
  }
  const [fewest, name] = there.sort(([a], [b]) => a - b)[0];
  if (fewest < 1 || fewest < header.frames - 1)
    throw new InvalidRecording(
      `${name} is cut short (${Math.max(fewest, 0)} samples, its header says ${header.frames})`);
  return Math.min(fewest, header.frames || fewest);
};

// The signals of one file in their units, NaN where a sample is missing.
const readFile = (name, bytes, own, header, frames) => {
  const {format, offset} = own[0], perFrame = sum(own.map(line => line.perFrame));
  const decode = DECODERS[format](new DataView(bytes.buffer, bytes.byteOffset + offset));
  const starts = own.map((_, number) => sum(own.slice(0, number).map(line => line.perFrame)));
  const sample = (n, i) => {
    const frame = Math.floor(i / own[n].perFrame);
    return decode(frame * perFrame + starts[n] + (i % own[n].perFrame));
  };
  const total = (n, count) => {
    let found = 0;
    for (let i = 0; i < count * own[n].perFrame; i++) found += sample(n, i);
    return modulo16(found);
  };
  const fits = count => own.every(({checksum}, n) => !checksum || checksum === total(n, count));
  const all = Math.floor(Math.trunc((bytes.length - offset) / bytesPerSample[format]) / perFrame);
  if ((!header.frames || header.frames === frames) && !fits(frames) && !fits(all))
    throw new InvalidRecording(
      `${name} does not fit its header's checksums: one of the two was changed, or is damaged ` +
      "(a checksum of 0 says nothing)");
  return own.map((line, number) => Float32Array.from({length: frames * line.perFrame}, (_, i) => {
    const count = sample(number, i);
    return count === missingCounts[format] ? NaN : (count - line.baseline) / line.gain;
  }));
};

// The record with header `name`; files: Map of name > Uint8Array.
export const readWfdb = (name, files, mostMissing) => {
  const header = parseHeader(files.get(name), name.replace(/\.[^.]*$/, "")), frames = countFrames(header, files);
  refuseLong(frames / header.rate);
  const channels = header.lines.map((line, number) => ({
    name: line.name || `signal ${number + 1}`, unit: line.unit, rate: header.rate * line.perFrame,
  }));
  for (const file of new Set(header.lines.map(line => line.file))) {
    const places = header.lines.map((line, number) => number).filter(number => header.lines[number].file === file);
    const values = readFile(file, findFile(files, file), places.map(n => header.lines[n]), header, frames);
    places.forEach((place, i) => (channels[place].values = values[i]));
  }
  for (const channel of channels) fillMissing(channel.values, mostMissing);
  return channels;
};
