"use strict";
// Sorts the worst queries, and opens the one that a link leads into. The page reads without it.
const list = document.getElementById("queries");
const buttons = [...document.querySelectorAll("[data-order]")];
for (const button of buttons) {
  button.parentElement.hidden = false;
  button.addEventListener("click", () => {
    const value = (query) => Number(query.dataset[button.dataset.order]);
    const place = (query) => Number(query.dataset.place);
    const sorted = [...list.children].sort((a, b) => value(a) - value(b) || place(a) - place(b));
    list.append(...sorted);
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  });
}
