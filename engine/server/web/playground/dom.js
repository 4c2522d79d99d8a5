// Elements, briefly. Text is always text: nothing of the server's is ever taken for HTML.

export const $ = (id) => document.getElementById(id);

/** An element with properties (`class`, `text`, `data-*`, `aria-*` and the like) and children. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A function that does `work` once before the next picture, however often it is called until then. */
export function soon(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    const run = () => {
      waiting = false;
      work();
    };
    if (document.hidden)
      setTimeout(run, 200); // no pictures are made of a hidden page
    else requestAnimationFrame(run);
  };
}

/** Milliseconds, as a person reads them. */
export function inWords(ms) {
  if (ms === null || ms === undefined) return "–";
  return Math.abs(ms) < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
}

export function clockTime(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The chosen value of a group of radio buttons. */
export const chosen = (group) => group.querySelector("input:checked").value;
