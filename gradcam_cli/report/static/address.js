// What the page shows stands in its address, to be linked: #?words for a list of pictures, #source
// for one of them.

import { CHECKS, DATA, RECORDS, RUNS, TRUTHS, source } from "gradcam/data.js";
import { SHOWN, SORTS } from "gradcam/filters.js";

export const VIEWS = ["pictures", "classes", "about", ...(TRUTHS ? ["confusion"] : [])];
export const START = {
  view: "pictures", q: "", show: "", class: "", explained: "", truth: "", from: 0, to: 1, sort: RUNS && !CHECKS ? "apart" : "", maker: "",
};

const A_MOMENT = 250; // browsers refuse an address that changes more than 200 times in 10 seconds

export let state = START; // of the list
export let opened = null; // the place of the picture at full size
export let lost = ""; // what the address names and the page does not have

let draw = () => {};
let written = "";
let waiting = 0;

// Call `work` now and whenever something else is to be shown.
export function follow(work) {
  draw = work;
  window.addEventListener("hashchange", () => {
    if (location.hash === written) return; // by this page, long drawn
    arrive();
    draw();
  });
  arrive();
  draw();
}

// Show the list with a change; with `replacing` no step back is left.
export function ask(change, replacing = false) {
  go({ ...state, ...change }, null, replacing);
}

// Show one picture at full size.
export function show(place, replacing = false) {
  go(state, place, replacing);
}

function go(next, place, replacing) {
  if (!replacing) settle();
  state = next;
  opened = place;
  lost = "";
  if (replacing) waiting = waiting || setTimeout(settle, A_MOMENT);
  else put(false);
  draw();
}

// Write the address that waits to be written.
export function settle() {
  if (waiting) put(true);
}

function put(replacing) {
  clearTimeout(waiting);
  waiting = 0;
  const hash = opened === null ? hashOf(state) : linkOf(RECORDS[opened]);
  if (replacing) location.replace(hash);
  else location.hash = hash;
  written = location.hash;
}

function arrive() {
  clearTimeout(waiting);
  waiting = 0;
  written = location.hash;
  const listed = !written || written.startsWith("#?");
  opened = listed ? null : placeIn(written);
  lost = listed || opened !== null ? "" : named(written);
  if (listed) state = stateIn(written || "#?");
}

export const linkOf = (record) => "#" + encodeURIComponent(source(record)).replaceAll("%2F", "/");

let placesBySource = null;

export function placeIn(hash) {
  placesBySource = placesBySource || new Map(RECORDS.map((record, place) => [source(record), place]).reverse());
  return placesBySource.get(named(hash)) ?? null;
}

function named(hash) {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return hash.slice(1);
  }
}

function stateIn(hash) {
  const words = new URLSearchParams(hash.slice(2));
  const among = (key, known) => (known.includes(words.get(key)) ? words.get(key) : START[key]);
  const whole = (key) => (/^-?\d{1,15}$/.test(words.get(key) || "") ? words.get(key) : "");
  const share = (key) => {
    const value = words.has(key) ? Number(words.get(key)) : NaN;
    return value >= 0 && value <= 1 ? value : START[key];
  };
  const label = whole("truth");
  const makerNumber = whole("maker");
  return {
    view: among("view", VIEWS),
    q: words.get("q") || "",
    show: among("show", Object.keys(SHOWN)),
    sort: among("sort", Object.keys(SORTS)),
    class: whole("class"),
    explained: whole("explained"),
    truth: TRUTHS && label in TRUTHS ? label : "",
    from: share("from"),
    to: share("to"),
    maker: makerNumber in DATA.makers ? makerNumber : "",
  };
}

export function hashOf(asked) {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(asked)) if (value !== START[key]) words.set(key, value);
  return "#?" + words.toString();
}
