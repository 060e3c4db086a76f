
"use strict";

// The records, in the arrays that rows.py describes. Names in them are anybody's: text goes into
// the page as text only, and addresses were made safe before they were written here.
const DATA = JSON.parse(document.getElementById("records").textContent);
const RECORDS = DATA.records;
const A_PAGE = 60;
const A_MOMENT = 150;

const $ = (id) => document.getElementById(id);
const gallery = $("gallery");
const FIELDS = ["q", "show", "sort"];
// Control characters, those that turn the direction of writing, and halves of surrogate pairs.
const STEERING =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function visible(text) {
  return text.replace(STEERING, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 256 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16).padStart(4, "0");
  });
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const NAMES = DATA.classes.map(([index, , name]) => visible(name) || "class " + index);
const IDS = DATA.classes.map(([, id]) => visible(id));
const first = (record) => (record[3] && record[3].length ? record[3][0] : null);
const maps = (record) => record[4] || [];
const isEmpty = (map) => typeof map[4] === "number";
const number = (value, digits) =>
  value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6) ? value.toFixed(digits) : value.toExponential(2);

// ---- which pictures, in which order

const SHOWN = {
  "": () => true,
  failed: (record) => Boolean(record[6]),
  empty: (record) => maps(record).some(isEmpty),
  warning: (record) => Boolean(record[5]),
};

let lowered = null;

function matching(words) {
  const text = words.toLowerCase();
  lowered = lowered || RECORDS.map((record) => visible(record[0]).toLowerCase());
  const hit = NAMES.map((name, place) => (name + " " + IDS[place]).toLowerCase().includes(text));
  return (record, place) =>
    lowered[place].includes(text) ||
    (first(record) && hit[first(record)[0]]) ||
    maps(record).some((map) => hit[map[0]]);
}

function chosen(state) {
  const shown = SHOWN[state.show];
  const named = state.q ? matching(state.q) : () => true;
  const index = state.class === "" ? null : Number(state.class);
  const places = [];
  RECORDS.forEach((record, place) => {
    if (!shown(record) || !named(record, place)) return;
    if (index !== null && !(first(record) && DATA.classes[first(record)[0]][0] === index)) return;
    places.push(place);
  });
  return state.sort ? bySureness(places, state.sort === "surest") : places;
}

function bySureness(places, surest) {
  const sure = (place) => {
    const row = first(RECORDS[place]);
    return row && typeof row[1] === "number" ? row[1] : null;
  };
  const known = places.filter((place) => sure(place) !== null);
  const unknown = places.filter((place) => sure(place) === null);
  known.sort((a, b) => (surest ? sure(b) - sure(a) : sure(a) - sure(b)) || a - b);
  return known.concat(unknown);
}

// ---- one picture

function card(record) {
  const [source, width, height, predictions, , warning, failure] = record;
  const made = element("article", { class: "card" }, element("h3", {}, visible(source)));
  if (failure) {
    made.append(element("p", { class: "bad" }, "failed: " + (visible(failure[0]) || "unknown")));
    made.append(element("p", {}, visible(failure[1])));
  } else {
    made.append(element("p", { class: "faint" }, width + " \u00d7 " + height + " pixels"));
  }
  if (warning) made.append(element("p", { class: "odd" }, "warning: " + visible(warning)));
  if (maps(record).length) {
    made.append(element("div", { class: "maps" }, ...maps(record).map((map) => figure(map, source))));
  }
  if (predictions && predictions.length) made.append(element("ol", { class: "top" }, ...predictions.map(row)));
  return made;
}

function figure(map, source) {
  const [which, probability, score, peak, reason, address] = map;
  const caption = element("figcaption", {}, element("strong", { title: IDS[which] }, NAMES[which]));
  const facts = [];
  if (typeof probability === "number") facts.push("probability " + number(probability, 4));
  if (typeof score === "number") facts.push("score " + number(score, 2));
  if (peak) facts.push("hottest at " + peak[0] + ", " + peak[1]);
  for (const fact of facts) caption.append(element("br", {}), fact);
  if (isEmpty(map)) {
    const [name, words] = DATA.reasons[reason];
    const said = "empty: " + (visible(name) || "unknown") + (words ? " (" + words + ")" : "");
    caption.append(element("div", { class: "odd" }, said));
  }
  return element("figure", {}, picture(address, visible(source), NAMES[which]), caption);
}

function picture(address, source, name) {
  if (!address) return element("div", { class: "absent" }, "no picture of this map in the folder");
  const href = DATA.base + address;
  const image = element("img", {
    src: href,
    loading: "lazy",
    decoding: "async",
    alt: "Heatmap for " + name + " on " + source,
  });
  const link = element("a", { href: href }, image);
  image.addEventListener("error", () => {
    link.replaceWith(element("div", { class: "absent" }, "the heatmap's file is not there"));
  });
  return link;
}

function row([which, probability, score]) {
  const name = element("span", { title: IDS[which] }, NAMES[which]);
  if (typeof probability !== "number") {
    const said = typeof score === "number" ? number(score, 3) : "not finite";
    return element("li", {}, name, element("span", { class: "faint" }, "score"), element("span", {}, said));
  }
  const bar = element("progress", { max: "1", value: String(probability), "aria-hidden": "true" });
  return element("li", {}, name, bar, element("span", {}, number(probability, 4)));
}

// ---- what is asked for stands in the address, so that a view can be linked

function asked() {
  const words = new URLSearchParams(location.hash.slice(1));
  const among = (key, known) => (known.includes(words.get(key)) ? words.get(key) : "");
  const page = Number.parseInt(words.get("page"), 10);
  return {
    q: words.get("q") || "",
    show: among("show", Object.keys(SHOWN)),
    sort: among("sort", ["least", "surest"]),
    class: /^-?\d+$/.test(words.get("class") || "") ? words.get("class") : "",
    page: page > 0 ? page : 1,
  };
}

function ask(change, replacing) {
  const state = { ...asked(), page: 1, ...change };
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (value !== "" && !(key === "page" && value === 1)) words.set(key, value);
  }
  const hash = "#" + (words.toString() || "all");
  if (replacing) location.replace(hash);
  else location.hash = hash;
}

let filter = null;
let places = [];
let typing = 0;

function render() {
  const state = asked();
  const now = JSON.stringify({ ...state, page: 0 });
  if (now !== filter) places = chosen(state);
  filter = now;
  const pages = Math.max(1, Math.ceil(places.length / A_PAGE));
  const page = Math.min(state.page, pages);
  for (const key of FIELDS) if (key !== "q" || !typing) $(key).value = state[key];
  $("page").value = page;
  $("page").max = pages;
  $("pages").textContent = "of " + pages.toLocaleString("en");
  $("found").textContent =
    places.length.toLocaleString("en") + " of " + RECORDS.length.toLocaleString("en") + " pictures";
  const place = DATA.classes.findIndex(([index]) => String(index) === state.class);
  $("anyclass").hidden = state.class === "";
  $("anyclass").textContent = "class: " + (place < 0 ? state.class : NAMES[place]) + " \u2715";
  $("anyclass").setAttribute("aria-label", "Show all classes again");
  for (const button of document.querySelectorAll("[data-step]")) {
    const next = page + Number(button.dataset.step);
    button.disabled = next < 1 || next > pages;
  }
  const shown = places.slice((page - 1) * A_PAGE, page * A_PAGE);
  $("cards").replaceChildren(...shown.map((each) => card(RECORDS[each])));
}

function turn(step) {
  const pages = Math.max(1, Math.ceil(places.length / A_PAGE));
  const page = Math.min(asked().page, pages) + step;
  if (page < 1 || page > pages) return;
  ask({ page: page });
  gallery.scrollIntoView();
}

$("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    typing = 0;
    ask({ q: $("q").value }, true);
  }, A_MOMENT);
});
for (const key of ["show", "sort"]) $(key).addEventListener("change", () => ask({ [key]: $(key).value }));
$("page").addEventListener("change", () => ask({ page: Math.max(1, Math.floor(Number($("page").value)) || 1) }));
$("anyclass").addEventListener("click", () => {
  ask({ class: "" });
  $("show").focus();
});
$("filters").addEventListener("submit", (event) => event.preventDefault());
for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => turn(Number(button.dataset.step)));
}
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, .classes")) return;
  if (event.key === "ArrowLeft") turn(-1);
  if (event.key === "ArrowRight") turn(1);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-class], a[data-show]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  ask("class" in link.dataset ? { class: link.dataset.class } : { show: link.dataset.show });
  gallery.scrollIntoView();
});
window.addEventListener("hashchange", render);

// ---- the table of classes can be sorted

function sortBy(heading, column) {
  const body = heading.closest("table").tBodies[0];
  const down = heading.getAttribute("aria-sort") === (column ? "descending" : "ascending");
  const sign = (column ? -1 : 1) * (down ? -1 : 1);
  const value = (line) => line.cells[column].dataset.value ?? line.cells[column].textContent;
  const rows = [...body.rows].map((line) => [value(line), line]);
  const compare = column
    ? ([a], [b]) => sign * (Number(a) - Number(b))
    : ([a], [b]) => sign * (a < b ? -1 : Number(a > b));
  rows.sort(compare);
  body.append(...rows.map(([, line]) => line));
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
}

document.querySelectorAll(".classes thead th").forEach((heading, column) => {
  const button = element("button", { type: "button" }, heading.textContent);
  button.addEventListener("click", () => sortBy(heading, column));
  heading.replaceChildren(button);
});

gallery.hidden = false;
render();
