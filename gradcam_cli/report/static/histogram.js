// The confidence of the pictures, and a range of it to keep.

import { RECORDS, TRUTHS, confidence, right } from "gradcam/data.js";
import { chosen } from "gradcam/filters.js";
import { $ } from "gradcam/parts.js";
import { percent } from "gradcam/text.js";

const BINS = 25;
const WIDE = 200;
const TALL = 40;

export function counted(places) {
  const bins = Array.from({ length: BINS }, () => [0, 0]);
  for (const place of places) {
    const sure = confidence(RECORDS[place]);
    if (sure === null) continue;
    const bin = Math.min(BINS - 1, Math.max(0, Math.floor(sure * BINS)));
    bins[bin][right(RECORDS[place]) === false ? 1 : 0] += 1;
  }
  return bins;
}

export function drawHistogram(state) {
  const bins = counted(chosen(state, false));
  const most = Math.max(1, ...bins.map(([good, bad]) => good + bad));
  const bars = bins.flatMap(([good, bad], place) => {
    const inside = (place + 1) / BINS > state.from + 1e-9 && place / BINS < state.to - 1e-9;
    const height = (value) => (value ? Math.max(1.5, (TALL * value) / most) : 0);
    return [
      bar(place, TALL - height(good), height(good), "good", inside),
      bar(place, TALL - height(good) - height(bad), height(bad), "bad", inside),
    ];
  });
  $("histogram").replaceChildren(...bars.filter(Boolean));
  for (const end of ["from", "to"]) {
    $(end).value = state[end];
    $(end).setAttribute("aria-valuetext", percent(state[end]));
  }
  $("from").style.zIndex = state.from > 0.5 ? 1 : ""; // the one that can still be moved lies above
  const all = state.from === 0 && state.to === 1;
  $("range").textContent = all ? "confidence" + (TRUTHS ? ", red is wrong" : "") : percent(state.from) + " to " + percent(state.to);
}

function bar(place, y, height, kind, inside) {
  if (!height) return null;
  const made = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const values = { x: (place * WIDE) / BINS + 0.5, y: y, width: WIDE / BINS - 1, height: height };
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  made.setAttribute("class", kind + (inside ? "" : " out"));
  return made;
}

// Dragging over the bars takes a range of them, a click one, a click on the only one all again.
export function brushing(changed) {
  const field = $("histogram");
  const binAt = (event) => {
    const box = field.getBoundingClientRect();
    return Math.min(BINS - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * BINS)));
  };
  let start = null;
  let last = null;
  let before = null;
  const span = (bin) => {
    const round = (value) => Math.round(100 * value) / 100;
    return { from: round(Math.min(start, bin) / BINS), to: round((Math.max(start, bin) + 1) / BINS) };
  };
  field.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = last = binAt(event);
    before = { from: Number($("from").value), to: Number($("to").value) };
    field.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  field.addEventListener("pointermove", (event) => {
    if (start === null || binAt(event) === last) return;
    last = binAt(event);
    changed(span(last));
  });
  field.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const now = span(binAt(event));
    const again = now.from === before.from && now.to === before.to;
    start = null;
    changed(again ? { from: 0, to: 1 } : now);
  });
  field.addEventListener("pointercancel", () => (start = null));
  $("from").addEventListener("input", () => {
    changed({ from: Math.min(Number($("from").value), Number($("to").value)) });
  });
  $("to").addEventListener("input", () => {
    changed({ to: Math.max(Number($("from").value), Number($("to").value)) });
  });
}
