// Tables of text, as in biosignals.data.readers.csv, dialect and times: CSV in the dialects that programs write,
// Apple Health's and Polar's exports among them.
import {canonical, isLead, isSomeLead, microvolts, usualLeads} from "./channels.js";
import constants from "./constants.js";
import {programHeader} from "./programs.js";
import {extremes, fillMissing, median, range, round} from "./signals.js";
import {casefold, general, InvalidRecording, quoted, strip, whole} from "./text.js";

const {patterns, missing: MISSING, missingCells, mostMissing} = constants;
const {seconds: SECONDS, unsaid: UNSAID, epochs: EPOCHS, usual: USUAL, few: FEW, mostRead: MOST_READ, agree: AGREE} = constants.times;
const HEAD = constants.head, ROWS = constants.rows, MOSTLY = constants.mostly;
const SEPARATORS = constants.separators, ONE_COLUMN = constants.oneColumn;
const NUMBER = whole(patterns.number, "iu"), FORM_OF_TIMES = whole(patterns.formOfTimes, "iu");
const STAMP = whole(patterns.stamp, "iu"), TIME_NAME = whole(patterns.timeName), COUNT = whole(patterns.count, "iu");
const TIME_OF_DAY = new RegExp(patterns.timeOfDay, "u");
const HERTZ = new RegExp(patterns.hertz, "iu"), RATE = whole(patterns.rate, "iu");
const INTERVAL = whole(patterns.interval, "iu"), SAMPLING = new RegExp(patterns.sampling, "iu");
const NO_RATE = new RegExp(patterns.noRate, "iu"), SCALE = whole(patterns.scale, "iu");
const NAME_AND_UNIT = whole(patterns.nameAndUnit), LIST = new RegExp(patterns.list, "u");
const THOUSANDS = whole(patterns.thousands);
const PLAIN_NUMBER = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i;
const LINES = /\r\n|\r|\n/;
const LONGEST_LINE = 20000; // characters
const MOST_ROWS = constants.mostSeconds * USUAL[1];
const MISSING_CELLS = new Set(missingCells);

// Searches in a line take the square of its length.
const refuseLongLine = line => {
  if (line.length > LONGEST_LINE)
    throw new InvalidRecording(`has a line of more than ${LONGEST_LINE} characters: write a row for each sample`);
};

// Refuses a table with a row for each channel, by most of its last lines.
const refuseWide = (lines, isWhole) => {
  const written = lines.filter(line => line.trim());
  const widths = written.slice(-ROWS).map(line =>
    Math.max(line.trim().split(/\s+/).length, ...["\t", ";", "|", ","].map(one => line.split(one).length)));
  const width = widths.sort((a, b) => a - b)[widths.length >> 1] ?? 0;
  if (width > constants.mostColumns || (isWhole && width > Math.max(constants.fewColumns, written.length)))
    throw new InvalidRecording(
      `has rows of ${width} cells: a table has a column for each channel and a row for each sample, so turn it`);
};

const isMissing = cell => MISSING.includes(cell.toLowerCase());
const isTime = text => STAMP.test(text);
const isUnitOfTime = text => Object.hasOwn(SECONDS, casefold(strip(text, "[]()")));
const isCount = name => COUNT.test(name);
const isTimeName = name => TIME_NAME.test(casefold(name)) || isUnitOfTime(name);
const isNumber = cell => NUMBER.test(cell);
const isValue = cell => isNumber(cell) || isMissing(cell) || isTime(cell);

// The most frequent of some numbers, the first of several, and how often it comes.
const mostCommon = numbers => {
  const counts = new Map();
  for (const number of numbers) counts.set(number, (counts.get(number) ?? 0) + 1);
  let best = [0, 0];
  for (const [number, count] of counts) if (count > best[1]) best = [number, count];
  return best;
};

// The fields of a line of CSV; quotes count where a field begins with one.
const fieldsOf = (line, separator) => {
  if (!line.includes('"')) return line ? line.split(separator) : [];
  const fields = [];
  let [field, inside, start] = ["", false, true];
  for (let i = 0; i < line.length; i++) {
    const character = line[i];
    if (inside && character === '"' && line[i + 1] === '"') field += line[i++];
    else if (inside && character === '"') inside = false;
    else if (start && character === '"') [inside, start] = [true, false];
    else if (!inside && character === separator) [field, start] = [(fields.push(field), ""), true];
    else [field, start] = [field + character, false];
  }
  return [...fields, field];
};

// The cells of a line, without blanks and quotes around them.
const cellsOf = (line, separator) => {
  let parts = [line];
  if (separator === " ") parts = line.trim() ? line.trim().split(/\s+/) : [];
  else if (separator !== ONE_COLUMN) parts = fieldsOf(line, separator);
  return parts.map(part => strip(part.trim(), "\"'").trim());
};

// The dialect: what separates cells, where rows begin, what stands above them.

const areValues = column =>
  column.some(cell => !isMissing(cell)) && column.filter(isValue).length >= MOSTLY * column.length;

const areCounts = row => {
  const counts = row.map((_, number) => String(number)), same = other => row.every((cell, i) => cell === other[i]);
  return row.length > 1 && (same(counts) || same(["", ...counts.slice(0, -1)]));
};

// What separates the cells of rows such as 12,345: the comma, or nothing, if it is that of decimals.
const ofOneComma = lines => {
  const texts = lines.map(line => strip(line, "\"' ")), rows = texts.filter(isNumber);
  if (!rows.length) return ",";
  if (rows.some(row => !row.includes(",") || row.startsWith("-0,") || /,0\d/.test(row))) return ONE_COLUMN;
  const pairs = texts.filter(text => !isNumber(text)).map(text => cellsOf(text, ","));
  if (pairs.some(pair => pair.length === 2 && pair.every(isValue))) return ",";
  const names = cellsOf(lines.at(texts.indexOf(rows[0]) - 1), ",");
  if (names.length === 2 && !names.some(isValue) && microvolts(names[1]) === null) return ",";
  throw new InvalidRecording(`is ${rows[0]} one number or two? Write a point in numbers, or name the columns`);
};

const findSeparator = lines => {
  const scores = new Map(), last = lines.slice(-ROWS);
  for (const separator of [...SEPARATORS, ONE_COLUMN]) {
    const rows = last.map(line => cellsOf(line, separator));
    const [width, often] = mostCommon(rows.map(row => row.length));
    if ((width > 1 || separator === ONE_COLUMN) && often >= MOSTLY * rows.length) {
      const cells = rows.flat();
      scores.set(separator, cells.filter(isValue).length / Math.max(cells.length, 1));
    }
  }
  let best = null;
  for (const [separator, score] of scores) if (best === null || score > scores.get(best)) best = separator;
  if (best === "," && scores.get(",") === scores.get(ONE_COLUMN)) return ofOneComma(lines);
  return best ?? ONE_COLUMN;
};

// The cells of a line above rows of `width` cells. Between blanks, a name may hold some of its own.
const headsOf = (line, separator, width) => {
  const row = cellsOf(line, separator);
  if (separator !== " " || row.length <= width) return row;
  const apart = line.length <= constants.longestLine ? line.trim().split(/\s{2,}|\t/) : [];
  if (apart.length === width) return apart;
  return width === 2 && isTimeName(row[0]) ? [row[0], row.slice(1).join(" ")] : row;
};

// Whether the first of two lines is a row: values in all numeric columns, and not names 0, 1, 2 ...
const starts = (lines, separator, numeric) => {
  const [row, after] = lines.map(line => cellsOf(line, separator));
  if (row.length !== numeric.length || !row.some(cell => /\d/.test(cell))) return false;
  if (areCounts(row) && after?.some(cell => /[.,]/.test(cell))) return false;
  return row.every((cell, column) => !numeric[column] || isValue(cell));
};

const isVoltage = cell => cell !== "V" && microvolts(cell) !== null;

const areUnits = named => row => {
  if (named && row.some(isVoltage) && !row.some(isNumber)) return true;
  const known = row.map(cell => isUnitOfTime(cell) || microvolts(cell) !== null);
  return known.some(Boolean) && row.every((cell, i) =>
    known[i] || isMissing(cell) || FORM_OF_TIMES.test(cell) || isCount(cell));
};

// The lead in information such as "Lead" and "II", in any language "Lead" and "Lead I"; or empty text.
const leadOf = (text, value) => {
  const key = strip(text, " \"'");
  if (!key || isLead(canonical(key))) return "";
  if (!casefold(value).startsWith(casefold(key))) return isLead(canonical(`${key} ${value}`)) ? value : "";
  const lead = value.slice(key.length).trim();
  return ["i", "ii", "iii"].includes(canonical(lead)) ? lead : "";
};

const areNames = endsEmpty => (row, line) => {
  if (row.length === 1) return !/[,;:=\t]|^[^\p{L}\p{N}_]/u.test(line);
  if (row.length === 2 && (isVoltage(row[1]) || (endsEmpty && leadOf(...row)))) return false;
  return areCounts(row) || !row.some(isNumber);
};

// The cells of the last line above where they fit the columns, else empty ones; and the lines left.
const take = (above, separator, width, endsEmpty, fit) => {
  const empty = Array(width).fill("");
  let row = above.length ? headsOf(above.at(-1), separator, width) : [];
  if (row.length === width - 1) row = endsEmpty ? [...row, ""] : ["", ...row];
  if (row.length === width && row.some(Boolean) && fit(row, above.at(-1)))
    return [areCounts(row) ? empty : row, above.slice(0, -1)];
  return [empty, above];
};

const short = lines =>
  lines.filter(line => line.length <= constants.longestLine).map(line => strip(line, "#%/ "));

const toFloat = text => Number(text.replace(",", "."));

// A rate in hertz: of "0.5" kHz, 500; of "1,000", 1000, for no recorder has 1 Hz.
const hertzOf = (text, kilo) => {
  const rate = toFloat(text) * (kilo ? 1000 : 1);
  return rate < USUAL[0] && /^\d{1,3}[.,]\d{3}$/.test(text) ? 1000 * rate : rate;
};

// The sampling rates that lines above a table give: those of which a line says that they are, or else whatever has
// hertz and is no filter's.
const ratesOf = lines => {
  const stated = [], others = [];
  for (const line of short(lines)) {
    const sampling = SAMPLING.exec(line), found = HERTZ.exec(line.slice(sampling?.index ?? 0));
    const named = RATE.exec(line), step = INTERVAL.exec(line);
    if (named) stated.push(hertzOf(named[2], named[1]));
    else if (step && isUnitOfTime(step[2])) stated.push(1 / (toFloat(step[1]) * SECONDS[casefold(step[2])]));
    else if (found && sampling) stated.push(hertzOf(found[1], found[2]));
    else if (found && !NO_RATE.test(line)) others.push(hertzOf(found[1], found[2]));
  }
  const sure = stated.filter(rate => rate > 0 && rate < Infinity);
  return [...new Set(sure.length ? sure : others.filter(rate => USUAL[0] <= rate && rate <= USUAL[1]))];
};

// Unit, lead and line with a gain that lines above a table give.
const information = lines => {
  let [unit, lead, scale] = ["", "", ""];
  for (const line of short(lines)) {
    const [key, ...rest] = line.replace(/\s*[,;:=\t]\s*/, "\n").split("\n");
    const value = strip(rest.join("\n"), " \"',;");
    if (microvolts(value) !== null) unit ||= value;
    else if (SCALE.test(line)) scale ||= line;
    else lead ||= leadOf(key, value);
  }
  return {unit, lead, scale};
};

// What stands before decimals in the numbers of rows.
const decimalOf = (lines, separator) => {
  const numbers = lines.flatMap(line => cellsOf(line, separator)).filter(isNumber);
  return numbers.some(text => text.includes(",")) && !numbers.some(text => text.includes(".")) ? "," : ".";
};

const detect = lines => {
  const known = programHeader(lines), body = lines.slice(known?.first ?? 0);
  const written = body.filter(line => line.trim()), separator = findSeparator(written);
  const last = written.slice(-ROWS).map(line => cellsOf(line, separator));
  const [width] = mostCommon(last.map(row => row.length)), rows = last.filter(row => row.length === width);
  const numeric = range(0, width).map(column => areValues(rows.map(row => row[column])));
  if (!numeric.some(Boolean))
    throw new InvalidRecording(
      "holds no columns of numbers: a table has a column per channel, named in its first row");
  const endsEmpty = width > 1 && !rows.some(row => row.at(-1));
  if (known) {
    const decimal = decimalOf(body, separator), {first, rate} = known;
    const [names, units] = [known.names, known.units].map(texts => known.fit(texts, width, endsEmpty));
    return {separator, decimal, first, names, units, rates: [rate], unit: "", lead: "", scale: ""};
  }
  const first = range(0, lines.length).find(number => starts(lines.slice(number, number + 2), separator, numeric));
  if (first === undefined) throw new InvalidRecording("cannot be read: its rows do not begin anywhere");
  let above = lines.slice(0, first).filter(line => line.trim()), units, names;
  const before = above.length > 1 ? headsOf(above.at(-2), separator, width) : [];
  const named = above.length > 1 && before.length === width && !before.some(cell => isNumber(cell) || isVoltage(cell));
  [units, above] = take(above, separator, width, endsEmpty, areUnits(named));
  [names, above] = take(above, separator, width, endsEmpty, areNames(endsEmpty));
  const decimal = decimalOf(lines.slice(first), separator);
  return {separator, decimal, first, names, units, rates: ratesOf(above), ...information(above)};
};

// The columns: numbers (NaN where missing), and the texts of cells that are none.

const toNumber = (text, decimal) => {
  const cell = strip(text, " '\"").replaceAll("\u2212", "-");
  const plain = decimal === "." ? cell : cell.replaceAll(decimal, ".");
  return PLAIN_NUMBER.test(plain) ? Number(plain) : /^[-+]?inf(?:inity)?$/i.test(plain) ? Infinity : NaN;
};

const fillColumns = (lines, written, skipEmpty) => {
  const {separator, decimal, names, first} = written, width = names.length;
  const columns = names.map(() => ({numbers: new Float64Array(Math.min(lines.length, MOST_ROWS)).fill(NaN), texts: new Map()}));
  let row = 0;
  lines.forEach((line, place) => {
    if (place < first || (!line.trim() && (skipEmpty || place === lines.length - 1))) return;
    refuseLongLine(line);
    if (row === MOST_ROWS)
      throw new InvalidRecording(`has more than ${MOST_ROWS} rows; biosignals predict takes longer recordings`);
    const cells = cellsOf(line, separator);
    if (cells.length > width + 1 || (cells.length > width && cells.at(-1)))
      throw new InvalidRecording(`line ${place + 1} has ${cells.length} cells, those before it ${width}`);
    for (let i = 0; i < Math.min(width, cells.length); i++) {
      if (MISSING_CELLS.has(cells[i])) continue;
      const number = toNumber(cells[i], decimal);
      if (Number.isNaN(number)) columns[i].texts.set(row, cells[i]);
      columns[i].numbers[row] = number;
    }
    row++;
  });
  return columns.map(({numbers, texts}) => {
    const there = numbers.subarray(0, row), found = there.filter(x => !Number.isNaN(x)).length;
    return {numbers: there, texts, numeric: found >= MOSTLY * (found + texts.size), count: found + texts.size};
  });
};

// Without lines of text at the end.
const withoutEnd = columns => {
  let rows = columns[0].numbers.length;
  const numeric = columns.filter(column => column.numeric && column.count);
  const holds = row => numeric.some(column => !Number.isNaN(column.numbers[row]));
  if (range(0, rows).some(holds)) while (!holds(rows - 1)) rows--;
  return columns.map(column => ({
    ...column, numbers: column.numbers.subarray(0, rows),
    texts: new Map([...column.texts].filter(([row]) => row < rows)),
  }));
};

// Refuses text among rows, as of a pause.
const refuseText = columns => {
  const numeric = columns.filter(column => column.numeric && column.count);
  for (let row = 0; row < (numeric[0]?.numbers.length ?? 0); row++) {
    const own = numeric.filter(column => column.texts.has(row)).map(column => column.texts.get(row));
    if (own.length && numeric.every(column => Number.isNaN(column.numbers[row])))
      throw new InvalidRecording(
        `its row ${row + 1} is text, ${quoted(own.join(" ").slice(0, constants.longestShown))}: delete it, or cut the` +
        " file there if samples are missing");
  }
};

// Refuses digits that are no number, as 1,234.5 in English, and both 512 and 1.372, more than a thousand elsewhere.
const refuseThousands = ({numbers, texts, numeric}) => {
  const remedy = "write numbers without separators of thousands";
  const wrong = [...texts].filter(([, text]) => (numeric ? /\d/.test(text) : THOUSANDS.test(text)));
  if (wrong.length > (numeric ? 0 : (1 - MOSTLY) * numbers.length)) {
    const [row, text] = wrong[0];
    throw new InvalidRecording(`its row ${row + 1} holds ${text}, which is no number: ${remedy}`);
  }
  if (!numeric) return;
  const size = numbers.map(Math.abs), near = (x, to) => Math.abs(to * x - round(to * x)) < 1e-6;
  const broken = size.filter(x => Number.isFinite(x) && x % 1 > 0);
  const hundreds = size.some(x => x % 1 === 0 && x >= 100 && x < 1000);
  if (hundreds && broken.length && broken.every(x => x >= 1 && x < 100 && near(x, 1000)) &&
    broken.filter(x => !near(x, 100)).length > 0.5 * broken.length)
    throw new InvalidRecording(
      `is ${general(broken[0])} in it that, or ${(1000 * broken[0]).toFixed(0)}? W${remedy.slice(1)}`);
};

// A column's name, and its unit, which may stand beside it: "I (mV)", "time_ms".
const nameAndUnit = (label, unit) => {
  const found = label.length <= constants.longestName ? NAME_AND_UNIT.exec(label) : null;
  const inside = found?.slice(1).find((text, i) => i && text) ?? "";
  const bare = strip(unit, "[]()"), name = found?.[1].trim();
  if (inside && (microvolts(inside) !== null || isUnitOfTime(inside))) {
    if (![null, microvolts(inside)].includes(microvolts(bare)))
      throw new InvalidRecording(`gives ${name} in ${inside} and in ${bare}: one of them is wrong`);
    return [name, inside];
  }
  return [label, isMissing(bare) || FORM_OF_TIMES.test(bare) ? "" : bare];
};

const kindOf = (column, alone) => {
  const {name, numbers} = column;
  if (!column.numeric) return isTime(strip(String(column.texts.get(0)), "'\" ")) ? "times" : "text";
  if (name && isTimeName(name)) return "times";
  const steps = numbers.subarray(1).map((value, i) => value - numbers[i]);
  if (alone || !steps.length) return "samples";
  const [least, most] = extremes(steps), goesOn = least >= 0 && most > 0;
  if (isUnitOfTime(column.unit) && goesOn) return "times";
  if ((!name || isCount(name)) && steps.every(step => step === 1)) return "count";
  return !name && goesOn && most <= (3 * (numbers.at(-1) - numbers[0])) / steps.length ? "times" : "samples";
};

// Times > a sampling rate.

class UnevenTimes extends InvalidRecording {}

const decimalsOf = time => {
  const text = String(Math.abs(time)), [mantissa, power = 0] = text.split("e");
  const [before, fraction = ""] = mantissa.split(".");
  return power < 0 ? [0, fraction.length - power] : [before.replace(/^0+/, "").length, fraction.length];
};

// To what times are rounded, by the decimals that they are written with; the fewest count.
const roundingOf = times => {
  const count = Math.min(times.length, MOST_READ), decimals = new Map();
  for (let i = 0; i < count; i++) {
    const time = times[Math.floor((i * (times.length - 1)) / Math.max(count - 1, 1))];
    if (!Number.isFinite(time)) continue;
    const [before, after] = decimalsOf(time), {length = 0, most = 0} = decimals.get(before) ?? {};
    decimals.set(before, {length: length + 1, most: Math.max(most, after)});
  }
  return Math.max(0, ...[...decimals.values()].filter(one => one.length >= FEW).map(one => 10 ** -one.most));
};

const stepOf = (times, rounding) => {
  const lost = times.findIndex(time => !Number.isFinite(time));
  if (lost >= 0) throw new InvalidRecording(`row ${lost + 1} has no time`);
  const last = times.length - 1, step = (times[last] - times[0]) / Math.max(last, 1);
  if (!(step > 0)) throw new InvalidRecording("its times do not go on");
  const most = Math.max(step / 2, rounding * 1.001), steps = times.subarray(1).map((time, i) => time - times[i]);
  const coarse = rounding >= step / 2, line = i => times[0] + (i * (times[last] - times[0])) / last;
  const wrong = range(0, last).filter(i =>
    Math.abs(steps[i] - step) > most || (coarse && Math.abs(times[i + 1] - line(i + 1)) > most));
  if (wrong.length) {
    const middle = median(steps), off = i => Math.abs(steps[i] - middle);
    const row = wrong.reduce((best, i) => (off(i) > off(best) ? i : best)) + 1;
    const jump = `from ${general(times[row - 1], 10)} to ${general(times[row], 10)} in row ${row + 1}`;
    throw new UnevenTimes(`its times do not go on in equal steps: ${jump}`);
  }
  return step;
};

// Seconds of texts with a time of day, from its first on; midnight and noon are passed.
const ofDay = column => {
  const times = column.numbers.map((_, row) => {
    const found = TIME_OF_DAY.exec(column.texts.get(row) ?? "");
    if (!found) return NaN;
    return 3600 * Number(found[1] ?? 0) + 60 * Number(found[2]) + Number(found[3].replace(/[,:]/, "."));
  });
  let back = 0;
  return times.map((time, row) => {
    const step = time - times[row - 1];
    if (step < -80000) back += 86400;
    else if (step < -43000 && step > -43201) back += 43200;
    return time + back;
  });
};

const rateOf = (column, said, given, how) => {
  const times = column.numeric ? column.numbers : ofDay(column);
  const rounding = roundingOf(times), step = stepOf(times, rounding), unsure = rounding / (times.at(-1) - times[0]);
  let unit = column.numeric ? said : "s";
  unit ||= Object.keys(EPOCHS).find(name => EPOCHS[name][0] < Math.abs(times[0]) && Math.abs(times[0]) < EPOCHS[name][1]) ?? "";
  const rates = (unit ? [unit] : UNSAID).map(name => [name, 1 / (step * SECONDS[name])]), [[, rate]] = rates;
  if (given) {
    if (rates.some(([, one]) => Math.abs(one / given - 1) <= AGREE + unsure) || (!unit && step === 1)) return given;
    throw new InvalidRecording(
      `its times give ${general(rate)} Hz, and ${general(given)} Hz is ${how}: one of them is wrong`);
  }
  if (unsure > AGREE)
    throw new InvalidRecording("its times are rounded too coarsely to tell the sampling rate: give it");
  const isUsual = one => USUAL[0] <= one && one <= USUAL[1];
  if (!unit && !isUsual(rate)) {
    let likely = rates.filter(([, one]) => isUsual(one)).map(([name]) => `in ${name}`);
    if (step === 1) likely = ["a count of samples"];
    if (!likely.length) likely = ["in another unit"];
    throw new InvalidRecording(
      `its time, taken as seconds, gives ${general(rate)} Hz; is it ${likely.join(" or ")}?` +
      " Name its unit, as in `time (ms)`, or give the sampling rate");
  }
  const nearest = round(rate);
  return Math.abs(nearest / rate - 1) <= Math.max(unsure, 1e-6) ? nearest : rate;
};

// The rate of times that go on in equal steps; else stated or given.
const chooseRate = (clocks, stated, given) => {
  const faults = [], known = given || (stated.length === 1 ? stated[0] : null);
  for (const clock of [...clocks].sort((a, b) => !a.unit - !b.unit)) {
    const unit = [clock.unit, clock.name].find(isUnitOfTime) ?? "";
    try {
      return rateOf(clock, casefold(unit), known, given ? "asked for" : "stated");
    } catch (fault) {
      if (!(fault instanceof InvalidRecording) || (clock.unit && fault instanceof UnevenTimes)) throw fault;
      faults.push(fault);
    }
  }
  if (faults.length) throw faults[0];
  if (stated.length > 1 && !given)
    throw new InvalidRecording(`states ${stated.map(rate => general(rate)).join(" and ")} Hz: give its sampling rate`);
  const rate = stated.length > 1 ? given : stated[0] ?? given;
  if (!rate) throw new InvalidRecording("give its sampling rate, or a column `time` in seconds");
  return rate;
};

const namesOf = (columns, values, lead) => {
  if (lead && columns.length === 1 && (!columns[0].name || isSomeLead(columns[0].name))) return [lead];
  if (!columns.some(column => column.name)) {
    try {
      return usualLeads(values);
    } catch (error) {
      if (!(error instanceof InvalidRecording)) throw error;
    }
  }
  return columns.map((column, number) => column.name || `column ${number + 1}`);
};

const decode = bytes => {
  const head = bytes.subarray(0, HEAD), start = `${head[0]},${head[1]}`;
  const zeros = first => head.filter((byte, i) => i % 2 === first && !byte).length > head.length / 4;
  let encoding = {"255,254": "utf-16le", "254,255": "utf-16be"}[start];
  encoding ??= zeros(1) ? "utf-16le" : zeros(0) ? "utf-16be" : null;
  if (encoding) return new TextDecoder(encoding).decode(bytes);
  try {
    new TextDecoder("utf-8", {fatal: true}).decode(head.subarray(0, Math.max(head.length - 4, 0)), {stream: true});
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
  return new TextDecoder("utf-8").decode(bytes);
};

// The recording in a table; given: its sampling rate and unit where it gives none, else null.
export const readTable = (bytes, given) => {
  const text = decode(bytes), start = text.slice(0, HEAD).split(LINES);
  const head = text.length > HEAD ? start.slice(0, -1) : start;
  if (head.slice(0, ROWS).some(line => LIST.test(line)))
    throw new InvalidRecording("holds lists of samples, which this page does not read; biosignals predict does");
  refuseWide(head, text.length <= HEAD);
  start.forEach(refuseLongLine);
  const written = detect(head), body = head.slice(written.first, -1), empty = body.filter(line => !line.trim()).length;
  const sparse = written.separator === ONE_COLUMN && empty < (1 - MOSTLY) * head.length;
  const cut = withoutEnd(fillColumns(text.split(LINES), written, !sparse));
  refuseText(cut);
  cut.forEach(refuseThousands);
  const columns = cut
    .map((column, i) => {
      const [name, unit] = nameAndUnit(written.names[i] ?? "", written.units[i]);
      return {...column, name, unit};
    })
    .filter((column, i) => column.count && written.names[i] !== null);
  const kinds = columns.map(column => kindOf(column, columns.length === 1));
  const found = columns.filter((_, i) => kinds[i] === "samples");
  if (!found.length) throw new InvalidRecording("it has no column of samples");
  const units = found.map(column => column.unit || written.unit);
  const stated = [...new Set(units.filter(unit => microvolts(unit) !== null))].sort();
  if (given.unit && stated.some(unit => microvolts(unit) !== microvolts(given.unit)))
    throw new InvalidRecording(`it gives its values in ${stated.join(", ")}, and ${given.unit} is asked for`);
  if (written.scale && !given.unit && units.some(unit => !unit))
    throw new InvalidRecording(
      `states a scale, ${quoted(written.scale)}, and no unit: write its values in mV, and their unit in the name of` +
      " the column, as in `I (mV)`");
  const values = found.map(column =>
    Float32Array.from(column.numbers, x => (Number.isFinite(x) && x !== constants.invalid ? x : NaN)));
  values.forEach(channel => fillMissing(channel, mostMissing));
  const rate = chooseRate(columns.filter((_, i) => kinds[i] === "times"), written.rates, given.rate);
  return namesOf(found, values, written.lead).map((name, i) => ({
    name, unit: units[i] || given.unit || "mV", rate, values: values[i],
  }));
};
