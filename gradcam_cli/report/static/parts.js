// ---- pieces that pages are made of: text and attributes only, never markup

const $ = (id) => document.getElementById(id);

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function button(label, action, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", action);
  return made;
}

// An image with others that may stand in for it; when none of them is there, `gone` is called.
function image(addresses, alt, gone, className = "") {
  const rest = [...addresses];
  const made = element("img", { alt: alt, decoding: "async", draggable: "false", class: className });
  made.addEventListener("error", () => {
    if (rest.length) made.src = rest.shift();
    else gone(made);
  });
  if (rest.length) made.src = rest.shift();
  else queueMicrotask(() => gone(made));
  return made;
}

const colourBar = "linear-gradient(to right, " + DATA.colours.join(", ") + ")";

const LEVELS = (() => {
  const stops = DATA.colours.map((text) => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16)));
  return Array.from({ length: 256 }, (_, level) => {
    const at = (level / 255) * (stops.length - 1);
    const [low, high] = [Math.floor(at), Math.ceil(at)];
    return stops[low].map((value, channel) => Math.round(value + (stops[high][channel] - value) * (at - low)));
  });
})();

// A map on its own grid; with `full`, its largest cell has the last colour.
function heatCanvas(text, label, full = false) {
  const grid = gridOf(text);
  if (!grid) return null;
  const { rows, columns, cells } = grid;
  const canvas = element("canvas", { width: columns, height: rows, role: "img", "aria-label": label });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  const top = full ? Math.max(1, ...cells) : 255;
  cells.forEach((cell, place) => {
    pixels.data.set([...LEVELS[Math.min(255, Math.round((255 * cell) / top))], 255], 4 * place);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// One map less another, each divided by its sum, on the finer of both grids.
function differenceCanvas(one, other, label) {
  const grids = [gridOf(one), gridOf(other)];
  if (!grids[0] || !grids[1]) return null;
  const rows = Math.max(grids[0].rows, grids[1].rows);
  const columns = Math.max(grids[0].columns, grids[1].columns);
  const [first, second] = grids.map((grid) => spread(grid, rows, columns));
  const values = first.map((value, place) => value - second[place]);
  const most = Math.max(1e-9, ...values.map(Math.abs));
  const canvas = element("canvas", { width: columns, height: rows, role: "img", "aria-label": label });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(columns, rows);
  values.forEach((value, place) => {
    const fade = Math.round(245 * (1 - Math.abs(value) / most));
    pixels.data.set(value > 0 ? [205 + (40 * fade) / 245, fade, fade, 255] : [fade, fade, 215 + (30 * fade) / 245, 255], 4 * place);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function spread(grid, rows, columns) {
  const cells = Array.from({ length: rows * columns }, (_, place) => {
    const row = Math.floor(((Math.floor(place / columns) + 0.5) * grid.rows) / rows);
    const column = Math.floor((((place % columns) + 0.5) * grid.columns) / columns);
    return grid.cells[row * grid.columns + column];
  });
  const sum = cells.reduce((total, cell) => total + cell, 0) || 1;
  return cells.map((cell) => cell / sum);
}

function options(select, rows, chosenValue) {
  select.replaceChildren(
    ...rows.map(([value, label]) => element("option", { value: value, selected: value === chosenValue }, label)),
  );
}

async function copy(text, from) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", {}, text);
    from.after(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
  }
  const label = from.dataset.label || (from.dataset.label = from.textContent);
  from.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => (from.textContent = label), 1500);
}
