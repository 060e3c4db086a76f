// One picture at full size, with all that is known of it.

import { ask, opened, settle, show, state } from "gradcam/address.js";
import { described, shownMap } from "gradcam/card.js";
import { RECORDS, basename, maps, source } from "gradcam/data.js";
import { details } from "gradcam/details.js";
import { focusSpot, gallery } from "gradcam/gallery.js";
import { $, button, copy, element } from "gradcam/parts.js";
import { sheets } from "gradcam/sheets.js";
import { count } from "gradcam/text.js";

const view = { place: null, map: 0 };

// Show the picture that is asked for, or close the view.
export function drawView() {
  const dialog = $("view");
  if (opened === null) {
    if (dialog.open) dialog.close();
  } else if (!dialog.open || opened !== view.place) open(opened);
}

function open(place) {
  const dialog = $("view");
  const record = RECORDS[place];
  const map = shownMap(record, Number(state.maker));
  view.place = place;
  view.map = Math.max(0, maps(record).indexOf(map));
  dialog.hidden = false;
  fill();
  if (dialog.open) $("announced").textContent = described(record, map) + ", " + positionOf(place);
  else dialog.showModal();
  dialog.focus();
  dialog.scrollTop = 0;
}

function fill() {
  const record = RECORDS[view.place];
  const dialog = $("view");
  const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const choose = (map) => {
    view.map = map;
    fill();
  };
  $("viewed").replaceChildren(
    head(record),
    element("div", { class: "sheets" }, ...sheets(record, maps(record)[view.map] || null)),
    element("div", { class: "below" }, ...details(record, view.map, choose)),
  );
  const again = focused && dialog.querySelector('[data-key="' + focused + '"]');
  if (again && !again.disabled) again.focus();
  else dialog.focus();
}

function head(record) {
  const [spot, list] = spotOf(view.place);
  const step = (by, label, sign) =>
    button(sign, () => turn(by), { "aria-label": label, title: label, "data-key": label, disabled: !(spot + by in list) });
  const copied = (event) => {
    settle();
    copy(location.href, event.currentTarget);
  };
  return element(
    "div",
    { class: "viewhead" },
    step(-1, "Previous picture", "\u2190"),
    step(1, "Next picture", "\u2192"),
    element("h2", { id: "viewname", dir: "auto", title: source(record) }, basename(record)),
    element("span", { class: "faint" }, positionOf(view.place)),
    button("Copy link", copied, { class: "plain", "data-key": "link" }),
    button("\u2715", () => $("view").close(), { "aria-label": "Close", title: "Close", "data-key": "close" }),
  );
}

// Where a picture stands in the gallery, or in the whole list, where it is filtered out.
function spotOf(place) {
  const spot = gallery.places.indexOf(place);
  return spot < 0 ? [place, RECORDS.map((_, each) => each)] : [spot, gallery.places];
}

function positionOf(place) {
  const [spot, list] = spotOf(place);
  return count(spot + 1) + " of " + count(list.length);
}

function turn(by) {
  const [spot, list] = spotOf(view.place);
  if (spot + by in list) show(list[spot + by], true);
}

export function viewKeys(event) {
  if (event.target.matches("input, summary")) return;
  if (event.key === "ArrowLeft") turn(-1);
  else if (event.key === "ArrowRight") turn(1);
  else return;
  event.preventDefault();
}

// Listen for what closes the view.
export function closing() {
  const dialog = $("view");
  dialog.addEventListener("close", () => {
    dialog.hidden = true;
    if (opened !== null) ask({}, true);
    settle();
    if (!document.activeElement.matches("input, select")) focusSpot(gallery.places.indexOf(view.place));
  });
  let outside = false;
  const around = ({ clientX, clientY }) => {
    const box = dialog.getBoundingClientRect();
    return clientX < box.left || clientX > box.right || clientY < box.top || clientY > box.bottom;
  };
  dialog.addEventListener("pointerdown", (event) => (outside = event.target === dialog && around(event)));
  dialog.addEventListener("click", (event) => {
    if (outside && event.target === dialog && around(event)) dialog.close();
  });
}
