// Refusals, and numbers and texts as Python writes them: the page says what `biosignals predict` says.
import constants from "./constants.js";
import {round} from "./signals.js";

export class InvalidRecording extends Error {}

export class MissingChannels extends InvalidRecording {}

// Case-folded as in Python: the micro sign and the Greek letter are one.
export const casefold = text => text.toLowerCase().replaceAll("\u00b5", "\u03bc").replaceAll("\u00df", "ss");

// A text without any of `characters` at its ends.
export const strip = (text, characters) => {
  let [first, last] = [0, text.length];
  while (first < last && characters.includes(text[first])) first++;
  while (first < last && characters.includes(text[last - 1])) last--;
  return text.slice(first, last);
};

// A regular expression of constants.js that has to match the whole of a text.
export const whole = (source, flags = "u") => new RegExp(`^(?:${source})$`, flags);

// A text with escapes in place of what a reader cannot see.
export const printable = text =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, character => {
    const named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character];
    const code = character.codePointAt(0);
    if (named) return named;
    if (code > 0xffff) return `\\U${code.toString(16).padStart(8, "0")}`;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });

// A text as Python's repr has it, but for what cannot be seen.
export const quoted = text => (text.includes("'") && !text.includes('"') ? `"${text}"` : `'${text.replaceAll("'", "\\'")}'`);

// A number as Python's format g has it.
export const general = (x, digits = 6) => {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (x === 0) return "0";
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  const short = text => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power >= -4 && power < digits) return short(x.toFixed(Math.max(digits - 1 - power, 0)));
  return `${short(mantissa)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
};

export const percent = share => `${round(100 * share)}%`;

export const grouped = x => String(round(x)).replace(/\B(?=(\d{3})+$)/g, ",");

// Seconds as hours, minutes and seconds, 1:02:03.
export const clock = seconds => {
  const two = number => String(number).padStart(2, "0");
  const s = Math.trunc(seconds);
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
};

// Refuses what takes the command rather than a page.
export const refuseLong = seconds => {
  if (seconds > constants.mostSeconds)
    throw new InvalidRecording(
      `${clock(seconds)}; this page takes up to ${clock(constants.mostSeconds)}: biosignals predict takes longer recordings`);
};
