// Names and numbers as people read them.

// Control characters, those that turn the direction of writing, and halves of surrogate pairs.
const STEERING =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export function visible(text) {
  return String(text).replace(STEERING, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 256 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16).padStart(4, "0");
  });
}

// A name within a text that is not written in elements: it has its own direction of writing.
export const isolated = (name) => "\u2068" + name + "\u2069";

// As people write it.
export const spoken = (name) => visible(name).replaceAll("_", " ");

export function percent(value, digits = 0) {
  const shown = (100 * value).toFixed(digits);
  const least = 10 ** -digits;
  if (value < 1 && Number(shown) === 100) return "> " + (100 - least).toFixed(digits) + " %";
  if (value > 0 && Number(shown) === 0) return "< " + least.toFixed(digits) + " %";
  return shown + " %";
}

export const count = (number) => number.toLocaleString("en");
export const plural = (number, word) => count(number) + " " + word + (number === 1 ? "" : "s");

export function decimal(value, digits) {
  const plain = value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6);
  return plain ? value.toFixed(digits) : value.toExponential(2);
}

export function timesLimit(beyond) {
  return beyond >= 1000 ? "" : beyond > 0 ? beyond.toFixed(beyond < 10 ? 2 : 0) + " \u00d7 its limit" : "";
}
