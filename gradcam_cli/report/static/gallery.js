// The gallery: cards exist only while they are on the screen, or nearly.

import { card } from "gradcam/card.js";
import { CHECKS, RUNS, TRUTHS } from "gradcam/data.js";
import { $ } from "gradcam/parts.js";

const GAP = 14;
const AHEAD = 1; // screens above and below that have cards already

export const gallery = {
  places: [],
  cards: new Map(),
  by: 0, // the number of the method and layer whose maps are shown
  columns: 1,
  width: 0,
  row: 0,
  tallest: 15e6, // pixels; browsers cannot make a page much taller
};

function textHeight() {
  return 56 + (TRUTHS ? 19 : 0) + (RUNS ? 30 : 0) + (CHECKS ? 38 : 0);
}

export function layOut() {
  const box = $("gallery");
  const room = Math.floor(box.getBoundingClientRect().width); // clientWidth may be rounded up
  const least = (room < 600 ? 150 : room < 1500 ? 228 : 264) * (RUNS ? 1.55 : 1);
  gallery.columns = Math.max(1, Math.floor((room + GAP) / (least + GAP)));
  gallery.width = (room - GAP * (gallery.columns - 1)) / gallery.columns;
  const frame = RUNS ? ((gallery.width - 2) / 2) * 0.95 : gallery.width * 0.75;
  gallery.row = Math.round(frame + textHeight()) + GAP;
  box.style.setProperty("--frame", frame + "px");
  box.style.setProperty("--wide", gallery.width + "px");
  box.style.height = Math.min(gallery.tallest, rows() * gallery.row) + "px";
}

const rows = () => Math.ceil(gallery.places.length / gallery.columns);

// Where the visible part begins, in pixels of a page that is as tall as it would have to be.
function scrolled() {
  const box = $("gallery").getBoundingClientRect();
  const whole = rows() * gallery.row;
  const seen = Math.max(0, -box.top);
  if (whole <= gallery.tallest) return { at: seen, shift: 0 };
  const screen = window.innerHeight;
  const share = Math.min(1, seen / Math.max(1, gallery.tallest - screen));
  const at = share * (whole - screen);
  return { at: at, shift: at - seen };
}

export function paint() {
  const { at, shift } = scrolled();
  const screen = window.innerHeight;
  const from = Math.max(0, Math.floor((at - AHEAD * screen) / gallery.row)) * gallery.columns;
  const to = Math.ceil((at + (1 + AHEAD) * screen) / gallery.row) * gallery.columns;
  const wanted = new Set();
  for (let spot = from; spot < Math.min(to, gallery.places.length); spot += 1) wanted.add(spot);
  for (const [spot, made] of gallery.cards) {
    if (wanted.has(spot) || made.contains(document.activeElement)) continue;
    made.remove();
    gallery.cards.delete(spot);
  }
  for (const spot of wanted) {
    if (gallery.cards.has(spot)) continue;
    const next = [...gallery.cards.keys()].filter((there) => there > spot);
    const made = card(gallery.places[spot], spot, gallery.places.length, gallery.by);
    // In the order of the list, which is the order of the tabulator.
    $("gallery").insertBefore(made, next.length ? gallery.cards.get(Math.min(...next)) : null);
    gallery.cards.set(spot, made);
  }
  for (const [spot, made] of gallery.cards) {
    const x = (spot % gallery.columns) * (gallery.width + GAP);
    const y = Math.floor(spot / gallery.columns) * gallery.row - shift;
    made.style.transform = "translate(" + x + "px, " + y + "px)";
  }
}

export function showGallery(places, by) {
  const same = places.length === gallery.places.length && places.every((place, spot) => place === gallery.places[spot]);
  gallery.places = places;
  gallery.by = by;
  for (const made of gallery.cards.values()) made.remove();
  gallery.cards.clear();
  layOut();
  const above = $("gallery").getBoundingClientRect().top - barHeight();
  if (!same && above < 0) window.scrollBy({ top: above - GAP }); // another list begins at its beginning
  paint();
}

// The height of what stays above the gallery when the page is scrolled.
function barHeight() {
  const bar = $("filters");
  return getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
}

// ---- the keyboard goes from card to card

export function focusSpot(spot) {
  if (spot < 0 || spot >= gallery.places.length) return;
  const top = window.scrollY + $("gallery").getBoundingClientRect().top;
  const line = Math.floor(spot / gallery.columns);
  const whole = rows() * gallery.row;
  const y = whole <= gallery.tallest ? line * gallery.row : (line * gallery.row * gallery.tallest) / whole;
  const bar = barHeight();
  const [seen, below] = [window.scrollY + bar, window.scrollY + window.innerHeight - gallery.row];
  if (top + y < seen || top + y > below) window.scrollTo({ top: Math.max(0, top + y - bar - GAP) });
  paint();
  const made = gallery.cards.get(spot);
  if (made) made.querySelector("a").focus({ preventScroll: true });
}

export function walking(event) {
  const made = event.target.closest(".card");
  if (!made || !event.target.matches("a") || event.altKey || event.ctrlKey || event.metaKey) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -gallery.columns, ArrowDown: gallery.columns }[event.key];
  if (!step) return;
  event.preventDefault();
  focusSpot(Number(made.dataset.spot) + step);
}
