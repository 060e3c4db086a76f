// The list of pictures: counts, filters, orders, and the gallery under them.

import { START, ask, state } from "gradcam/address.js";
import { DATA, NAMES, RECORDS, TRUE_NAMES, confidence, first, maker, makerName, maps, right } from "gradcam/data.js";
import { IN_FIRST, SHOWN, SORTS, chosen, ordered } from "gradcam/filters.js";
import { showGallery } from "gradcam/gallery.js";
import { brushing, drawHistogram } from "gradcam/histogram.js";
import { setOverlay } from "gradcam/overlay.js";
import { $, bdi, button, element, options } from "gradcam/parts.js";
import { count, isolated, percent, plural } from "gradcam/text.js";

const A_MOMENT = 150; // after the last key, before a search

let typing = 0;

export function drawPictures() {
  if (!typing) $("q").value = state.q;
  for (const key of ["class", "sort", "maker"]) $(key).value = state[key];
  const by = Number(state.maker);
  const places = ordered(chosen(state), state.sort, by);
  drawHistogram(state);
  for (const each of $("shown").querySelectorAll("button")) {
    each.setAttribute("aria-pressed", String(each.dataset.show === state.show));
  }
  const all = places.length === RECORDS.length;
  $("found").textContent = all ? "" : count(places.length) + " of " + plural(RECORDS.length, "picture");
  $("chips").replaceChildren(...chips());
  showGallery(places, by);
}

function chips() {
  const made = [];
  const less = (change) => () => {
    ask(change);
    ($("chips").querySelector("button") || $("shown").querySelector("button")).focus(); // the chip is no more
  };
  const chip = (words, change) => {
    const one = button("", less(change), { class: "chip", "aria-label": "Remove filter: " + words.map((part) => part.textContent ?? part).join("") });
    one.append(...words, " \u2715");
    made.push(one);
  };
  const named = (index) => {
    const which = DATA.classes.findIndex(([known]) => String(known) === index);
    return bdi(which < 0 ? index : NAMES[which]);
  };
  if (state.q) chip(["\u201c", bdi(state.q), "\u201d"], { q: "" });
  if (state.class !== "") chip(["predicted" + IN_FIRST + " ", named(state.class)], { class: "" });
  if (state.explained !== "") chip(["explained ", named(state.explained)], { explained: "" });
  if (state.truth !== "") chip(["true class ", bdi(TRUE_NAMES[state.truth])], { truth: "" });
  if (state.show) chip([SHOWN[state.show][0]], { show: "" });
  if (state.from > 0 || state.to < 1) chip(["confidence " + percent(state.from) + " to " + percent(state.to)], { from: 0, to: 1 });
  const every = { ...START, view: state.view, sort: state.sort, maker: state.maker };
  if (made.length > 1) made.push(button("Show all", less(every), { class: "plain" }));
  return made;
}

function fillCounts() {
  const judged = RECORDS.reduce((sum, record) => sum + (right(record) === null ? 0 : 1), 0);
  const made = [];
  for (const [show, [words, test]] of Object.entries(SHOWN)) {
    const number = RECORDS.reduce((sum, record) => sum + (test(record) ? 1 : 0), 0);
    if (!number && show) continue;
    const label = show ? words : number === 1 ? "picture" : "pictures";
    const asked = () => ask({ show: state.show === show ? "" : show });
    const one = button("", asked, { "data-show": show, "aria-pressed": "false" });
    one.append(element("strong", {}, count(number)), " " + label);
    if (show === "right") one.append(element("small", {}, " " + percent(number / judged, 1)));
    made.push(one);
  }
  $("shown").replaceChildren(...made);
}

function fillChoices() {
  const numbers = new Map();
  for (const record of RECORDS) {
    if (!first(record)) continue;
    const which = first(record)[0];
    numbers.set(which, (numbers.get(which) || 0) + 1);
  }
  const classes = [...numbers].map(([which, number]) => [String(DATA.classes[which][0]), isolated(NAMES[which]) + " (" + count(number) + ")"]);
  classes.sort(([, a], [, b]) => a.localeCompare(b));
  options($("class"), [["", "any"], ...classes], "");
  options($("sort"), Object.entries(SORTS).map(([key, [words]]) => [key, words]), START.sort);
  const makers = [...new Set(RECORDS.flatMap((record) => maps(record).map(maker)))];
  options($("maker"), makers.map((number) => [number ? String(number) : "", makerName(number) || "unknown"]), "");
  $("makers").hidden = makers.length < 2;
  document.querySelector(".confidence").hidden = RECORDS.every((record) => confidence(record) === null);
}

// Fill in what does not change, and listen.
export function startPictures() {
  fillCounts();
  fillChoices();
  $("q").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      typing = 0;
      ask({ q: $("q").value }, true);
    }, A_MOMENT);
  });
  for (const key of ["class", "sort", "maker"]) $(key).addEventListener("change", () => ask({ [key]: $(key).value }));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("opacity").addEventListener("input", () => setOverlay(Number($("opacity").value)));
  brushing((change) => ask(change, true));
}
