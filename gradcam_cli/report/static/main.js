// ---- the page follows its address

let state = { ...START };
let drawn = "";
let typing = 0;
let overlay = 100;

const A_MOMENT = 150;

function ask(change, replacing = false) {
  go(hashOf({ ...state, ...change }), replacing);
}

// The browser tells of a new address only later.
function go(hash, replacing) {
  if (replacing) location.replace(hash);
  else location.hash = hash;
  follow();
}

function follow() {
  const place = location.hash.length > 1 && !location.hash.startsWith("#?") ? placeIn(location.hash) : null;
  if (place === null) {
    if (!location.hash || location.hash.startsWith("#?")) state = stateIn(location.hash || "#?");
    if ($("view").open) $("view").close();
  }
  draw();
  if (place !== null && !(place === view.place && $("view").open)) open(place);
}

function draw() {
  const hash = hashOf(state);
  if (hash === drawn) return;
  drawn = hash;
  for (const name of VIEWS) if ($(name)) $(name).hidden = name !== state.view;
  for (const each of $("views").querySelectorAll("button")) {
    each.setAttribute("aria-pressed", String(each.dataset.view === state.view));
  }
  if (state.view === "pictures") drawPictures();
  if (state.view === "classes") drawClasses(state, $("classsort").value);
  if (state.view === "confusion") drawConfusion();
}

function drawPictures() {
  if (!typing) $("q").value = state.q;
  for (const key of ["class", "sort", "maker"]) $(key).value = state[key];
  gallery.maker = Number(state.maker || 0);
  const places = ordered(chosen(state), state.sort);
  drawHistogram(state);
  for (const each of $("shown").querySelectorAll("button")) {
    each.setAttribute("aria-pressed", String(each.dataset.show === state.show));
  }
  const all = places.length === RECORDS.length;
  $("found").textContent = all ? "" : count(places.length) + " of " + plural(RECORDS.length, "picture");
  $("chips").replaceChildren(...chips());
  showGallery(places);
}

function chips() {
  const made = [];
  const chip = (words, change) => made.push(button(words + " \u2715", () => ask(change), { class: "chip", "aria-label": "Remove filter: " + words }));
  if (state.q) chip("\u201c" + state.q + "\u201d", { q: "" });
  const named = DATA.classes.findIndex(([index]) => String(index) === state.class);
  if (state.class !== "") chip("predicted " + (named < 0 ? state.class : NAMES[named]), { class: "" });
  if (state.truth !== "") chip("true class " + TRUE_NAMES[state.truth], { truth: "" });
  if (state.show) chip(SHOWN[state.show][0], { show: "" });
  if (state.from > 0 || state.to < 1) chip("confidence " + percent(state.from) + " to " + percent(state.to), { from: 0, to: 1 });
  if (made.length > 1) made.push(button("Show all", () => ask({ ...START, view: state.view, sort: state.sort, maker: state.maker }), { class: "plain" }));
  return made;
}

// ---- what does not change: counts, choices, listeners

function fillCounts() {
  const made = [];
  for (const [show, [words, test]] of Object.entries(SHOWN)) {
    const number = RECORDS.reduce((sum, record) => sum + (test(record) ? 1 : 0), 0);
    if (!number && show) continue;
    const label = show ? words : number === 1 ? "picture" : "pictures";
    const one = button("", () => ask({ show: state.show === show ? "" : show }), { "data-show": show, "aria-pressed": "false" });
    one.append(element("strong", {}, count(number)), " " + label);
    if (show === "right") one.append(element("small", {}, " " + percent(number / judgedCount(), 1)));
    made.push(one);
  }
  $("shown").replaceChildren(...made);
}

const judgedCount = () => RECORDS.reduce((sum, record) => sum + (right(record) === null ? 0 : 1), 0);

function fillChoices() {
  const numbers = new Map();
  for (const record of RECORDS) {
    if (!first(record)) continue;
    const which = first(record)[0];
    numbers.set(which, (numbers.get(which) || 0) + 1);
  }
  const rowsOf = [...numbers].map(([which, number]) => [String(DATA.classes[which][0]), NAMES[which] + " (" + count(number) + ")"]);
  rowsOf.sort(([, a], [, b]) => a.localeCompare(b));
  options($("class"), [["", "any"], ...rowsOf], "");
  options($("sort"), Object.entries(SORTS).map(([key, [words]]) => [key, words]), START.sort);
  options($("classsort"), Object.entries(CLASS_SORTS).map(([key, [words]]) => [key, words]), "pictures");
  const makers = [...new Set(RECORDS.flatMap((record) => maps(record).map(maker)))];
  options($("maker"), makers.map((number) => [number ? String(number) : "", makerName(number) || "unknown"]), "");
  $("makers").hidden = makers.length < 2;
  document.querySelector(".confidence").hidden = RECORDS.every((record) => confidence(record) === null);
}

function setOverlay(value) {
  document.documentElement.style.setProperty("--heat", value / 100);
  for (const slider of document.querySelectorAll("#opacity, .opacity")) slider.value = value;
}

function toggleOverlay() {
  if (Number($("opacity").value) > 0) {
    overlay = Number($("opacity").value);
    setOverlay(0);
  } else setOverlay(overlay || 100);
}

function keys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.matches("input:not([type=range]), select, textarea")) return;
  if (event.key === "o") toggleOverlay();
  else if (event.key === "/" && !$("view").open) {
    ask({ view: "pictures" });
    $("q").focus();
    event.preventDefault();
  } else if ($("view").open) viewKeys(event);
  else walking(event);
}

const THEMES = ["", "dark", "light"];

function listen() {
  $("q").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      typing = 0;
      ask({ q: $("q").value }, true);
    }, A_MOMENT);
  });
  for (const key of ["class", "sort", "maker"]) $(key).addEventListener("change", () => ask({ [key]: $(key).value }));
  $("classsort").addEventListener("change", () => drawClasses(state, $("classsort").value));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("opacity").addEventListener("input", () => setOverlay(Number($("opacity").value)));
  brushing((change) => ask(change, true));
  for (const each of $("views").querySelectorAll("button")) each.addEventListener("click", () => ask({ view: each.dataset.view }));
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    document.documentElement.dataset.theme = next;
    $("theme").setAttribute("aria-label", "Theme: " + (next || "as the system has it"));
  });
  $("view").addEventListener("close", () => {
    $("view").hidden = true;
    if (!location.hash.startsWith("#?")) location.replace(hashOf(state));
    if (!document.activeElement.matches("input, select")) focusSpot(gallery.places.indexOf(view.place));
  });
  $("view").addEventListener("click", (event) => {
    if (event.target === $("view")) $("view").close();
  });
  document.addEventListener("keydown", keys);
  window.addEventListener("hashchange", follow);
  let waiting = 0;
  const soon = (work) => () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(work);
  };
  window.addEventListener("scroll", soon(paint), { passive: true });
  new ResizeObserver(soon(() => {
    if (state.view !== "pictures") return;
    const before = gallery.columns + "," + gallery.width;
    layOut();
    if (before !== gallery.columns + "," + gallery.width) paint();
  })).observe($("gallery"));
  for (const each of document.querySelectorAll("button.copy")) {
    each.hidden = false;
    each.addEventListener("click", () => copy(each.previousElementSibling.textContent, each));
  }
}

fillCounts();
fillChoices();
listen();
$("views").hidden = false;
$("theme").hidden = false;
follow();
