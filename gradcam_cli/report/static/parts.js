// Pieces that pages are made of: text and attributes only, never markup.

export const $ = (id) => document.getElementById(id);

export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A name of somebody's within a sentence: its own direction of writing changes nothing around it.
export const bdi = (name) => element("bdi", {}, name);

export function button(label, action, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", action);
  return made;
}

// An image with others that may stand in for it; when none of them is there, `gone` is called.
export function image(addresses, alt, gone, className = "") {
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

export function options(select, rows, chosenValue) {
  select.replaceChildren(
    ...rows.map(([value, label]) => element("option", { dir: "auto", value: value, selected: value === chosenValue }, label)),
  );
}

export async function copy(text, from) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", {}, text);
    from.after(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
    from.focus();
  }
  const label = from.dataset.label || (from.dataset.label = from.textContent);
  from.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => (from.textContent = label), 1500);
}

export function meter(share) {
  const fill = element("span", {});
  fill.style.width = 100 * Math.min(1, Math.max(0, share)) + "%";
  return element("span", { class: "meter", "aria-hidden": "true" }, fill);
}
