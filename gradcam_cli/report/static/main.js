// The page begins, and is drawn anew when its address changes.

import { VIEWS, ask, follow, hashOf, lost, state } from "gradcam/address.js";
import { CLASS_SORTS, drawClasses } from "gradcam/classes.js";
import { drawConfusion } from "gradcam/confusion.js";
import { gallery, layOut, paint, walking } from "gradcam/gallery.js";
import { toggleOverlay } from "gradcam/overlay.js";
import { $, bdi, copy, options } from "gradcam/parts.js";
import { drawPictures, startPictures } from "gradcam/pictures.js";
import { visible } from "gradcam/text.js";
import { closing, drawView, viewKeys } from "gradcam/view.js";

const THEMES = ["", "dark", "light"];

let drawn = "";

function draw() {
  const hash = hashOf(state);
  if (hash !== drawn) drawList();
  drawn = hash;
  $("lost").hidden = !lost;
  $("lost").replaceChildren(...(lost ? ["The link leads to ", bdi(visible(lost)), ", which is not on this page. All pictures are shown."] : []));
  drawView();
}

function drawList() {
  for (const name of VIEWS) $(name).hidden = name !== state.view;
  for (const each of $("views").querySelectorAll("button")) {
    each.setAttribute("aria-pressed", String(each.dataset.view === state.view));
  }
  if (state.view === "pictures") drawPictures();
  if (state.view === "classes") drawTiles();
  if (state.view === "confusion") drawConfusion();
}

const drawTiles = () => drawClasses(Number(state.maker), $("classsort").value);

function keys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.matches("input:not([type=range]), select, textarea")) return;
  if (event.key === "o") toggleOverlay();
  else if ($("view").open) viewKeys(event);
  else if (event.key === "/") {
    ask({ view: "pictures" });
    $("q").focus();
    event.preventDefault();
  } else walking(event);
}

function listen() {
  for (const each of $("views").querySelectorAll("button")) each.addEventListener("click", () => ask({ view: each.dataset.view }));
  $("classsort").addEventListener("change", drawTiles);
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    document.documentElement.dataset.theme = next;
    $("theme").setAttribute("aria-label", "Theme: " + (next || "as the system has it"));
  });
  for (const each of document.querySelectorAll("button.copy")) {
    each.hidden = false;
    each.addEventListener("click", () => copy(each.previousElementSibling.textContent, each));
  }
  document.addEventListener("keydown", keys);
  window.addEventListener("scroll", soon(paint), { passive: true });
  new ResizeObserver(soon(resized)).observe($("gallery"));
}

function resized() {
  if (state.view !== "pictures") return;
  const before = gallery.columns + "," + gallery.width;
  layOut();
  if (before !== gallery.columns + "," + gallery.width) paint();
}

// Once before the next frame, however often it is asked for.
function soon(work) {
  let waiting = 0;
  return () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(work);
  };
}

startPictures();
options($("classsort"), Object.entries(CLASS_SORTS).map(([key, [words]]) => [key, words]), "pictures");
listen();
closing();
$("views").hidden = false;
$("theme").hidden = false;
follow(draw);
