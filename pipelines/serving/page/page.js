// The shop window: asks the server for a slate and shows it. Words from outside are only ever text.

const K = 24;
const LARGEST_PICTURE = 10_000_000;
const LOOK_MS = 3_000; // between looks at what is still being built
const STATE = ["text", "user", "at", "filter"]; // what the address of the page remembers
const INPUT_OF_FIELD = { text: "text", image: "text", user: "user", "scene.at": "at", filter: "filter" };
const STAGES = {
  ranking: "ordered by the ranker",
  retrieval: "in the order of retrieval",
  popular: "the most popular",
};

const $ = (id) => document.getElementById(id);
const main = document.querySelector("main");
let about = {};
let picture = null; // the file that is searched by
let asking = new AbortController();

// Elements are made from names and text, never from markup.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

const number = (value, digits) => Number(value).toLocaleString("en", { maximumFractionDigits: digits });
const milliseconds = (value) => `${number(value, value < 10 ? 2 : 0)} ms`;
const significant = (value) => Number(value).toLocaleString("en", { maximumSignificantDigits: 4 });

function money(price, currency) {
  if (price === null || price === undefined) return "";
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency: currency || "USD" }).format(price);
  } catch {
    return `${number(price, 2)} ${currency}`; // not a currency that the browser knows
  }
}

// Talking with the server

class Refused extends Error {
  constructor({ field, message, status }) {
    super(field ? `${field}: ${message}` : message);
    Object.assign(this, { field, status });
  }
}

async function call(path, options) {
  const response = await fetch(path, options).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Refused({ message: "The server cannot be reached. Is it still running?" });
  });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Refused(body.error ?? { message: `The server answered ${response.status}.` });
}

// While the release is being read the server says 503; wait for it.
async function callWhenOpen(path) {
  for (;;) {
    try {
      return await call(path);
    } catch (error) {
      if (error.status !== 503) throw error;
      $("status").textContent = "The release is still being read…";
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Refused({ field: "image", message: "the file cannot be read" }));
    reader.readAsDataURL(file);
  });
}

// What is done to a card is an event, where the server takes them; the next answer knows it.

const ACTS = { view: "View", add_to_cart: "Put in cart", purchase: "Buy" };

function visitor() {
  const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("");
  try {
    localStorage.visitor ??= random();
    return localStorage.visitor;
  } catch {
    return (visitor.once ??= random()); // this browser keeps nothing
  }
}

function momentOf(second) {
  return $("at").value ? `${$("at").value}T${second}` : undefined;
}

async function act(type, placed) {
  const product = placed.product.id;
  await tell("clicks", placed);
  const body = { type, visitor: visitor(), lines: [{ product }], at: momentOf("09:59:59"), placement: "page" };
  if ($("user").value.trim()) body.user = $("user").value.trim();
  body.id = `${body.visitor}-${Date.now()}-${Math.random()}`;
  try {
    const { sequence } = await call("/v1/events", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    await ask(sequence ?? 0);
  } catch (error) {
    showError(error);
  }
}

// What becomes of an ad is told with its token: that it was drawn, that half of it was seen for a
// second, that it was clicked. The server counts each once.

const VIEW_MS = 1000;
const seen = new IntersectionObserver(
  (changes) => {
    for (const { target, isIntersecting } of changes) {
      clearTimeout(target.viewing);
      if (isIntersecting) target.viewing = setTimeout(() => viewed(target), VIEW_MS);
    }
  },
  { threshold: 0.5 },
);

function tell(what, { ad }) {
  if (!ad) return Promise.resolve();
  return fetch(`/v1/${what}/${ad.token}`, { method: "POST", keepalive: true }).catch(() => {});
}

function viewed(element) {
  seen.unobserve(element);
  tell("views", element.placed);
}

function watchAds(cards) {
  seen.disconnect();
  for (const element of cards.filter(({ placed }) => placed.ad)) {
    tell("impressions", element.placed);
    seen.observe(element);
  }
}

function acts(placed) {
  const { product } = placed;
  if (!about.events) return null;
  const buttons = Object.entries(ACTS).map(([type, name]) => {
    const label = `${name}: ${product.title || product.id}`;
    return make("button", { type: "button", textContent: name, ariaLabel: label, onclick: () => act(type, placed) });
  });
  return make("div", { className: "acts" }, ...buttons);
}

async function request() {
  const text = $("text").value.trim();
  const searches = Boolean(text || picture);
  const body = { k: K, explain: true, scene: { placement: searches ? "search" : "home" } };
  if (text) body.text = text;
  if (picture) body.image = await base64(picture);
  if ($("user").value.trim()) body.user = $("user").value.trim();
  if (about.events) body.visitor = visitor();
  if ($("filter").value.trim()) body.filter = $("filter").value.trim();
  if ($("at").value) body.scene.at = momentOf("10:00:00");
  return { path: searches ? "/v1/search" : "/v1/recommend", body };
}

async function ask(after = 0) {
  asking.abort();
  const mine = (asking = new AbortController());
  main.setAttribute("aria-busy", "true");
  try {
    const { path, body } = await request();
    const slate = await call(after ? `${path}?after=${after}` : path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: mine.signal,
    });
    if (mine.signal.aborted) return; // a newer question has been asked
    showError(null);
    showSlate(slate, body);
  } catch (error) {
    if (mine.signal.aborted) return;
    showError(error);
  }
  main.setAttribute("aria-busy", "false");
}

// What the words may become is offered below them; an answer that comes late is dropped.

let typed = 0;

async function offer() {
  const mine = ++typed;
  const text = $("text").value;
  if (!text.trim()) return $("completions").replaceChildren();
  await new Promise((resolve) => setTimeout(resolve, 80)); // more letters may follow
  if (mine !== typed) return;
  const { completions } = await call(`/v1/complete?q=${encodeURIComponent(text.slice(-200))}`).catch(() => ({}));
  if (mine !== typed || !completions) return;
  $("completions").replaceChildren(...completions.map((value) => make("option", { value })));
}

// Showing

function showError(error) {
  $("error").hidden = !error;
  $("error").textContent = error ? error.message : "";
  for (const id of new Set(Object.values(INPUT_OF_FIELD))) $(id).removeAttribute("aria-invalid");
  if (!error) return;
  const input = INPUT_OF_FIELD[error.field];
  if (input) $(input).setAttribute("aria-invalid", "true");
  $("status").textContent = "No answer.";
  $("cost").hidden = true;
  $("products").replaceChildren();
}

function showSlate(slate, asked) {
  const count = slate.products.length;
  $("status").textContent = [
    count === 1 ? "1 product" : `${count} products`,
    asked.text && `“${asked.text}”`,
    ...(slate.readings ?? []).filter(({ why }) => why === "misspelt")
      .map(({ asked: word, read_as: [meant] }) => `“${word}” read as “${meant}”`),
    slate.guessed && "no product has these words, so these are guesses",
    asked.image && "your picture",
    asked.user ? `household ${asked.user}` : "someone new",
    STAGES[slate.stage] ?? slate.stage,
  ].filter(Boolean).join(" · ");
  showCost(slate.timings_ms);
  const cards = slate.products.map((placed) => card(placed, slate.release));
  const nothing = make("li", {
    className: "empty",
    textContent: "Nothing in this shop fits. Fewer words or a wider filter may help.",
  });
  $("products").replaceChildren(...(count ? cards : [nothing]));
  watchAds(cards);
}

function showCost(timings) {
  const stages = Object.entries(timings);
  const total = stages.reduce((sum, [, ms]) => sum + ms, 0);
  $("cost").hidden = stages.length === 0;
  $("bar").replaceChildren(
    ...stages.map(([, ms], i) => {
      const part = make("i", { className: `stage-${(i % 6) + 1}` });
      part.style.flexGrow = ms / (total || 1);
      return part;
    }),
  );
  const lines = stages.map(([name, ms], i) =>
    make("li", {}, make("i", { className: `stage-${(i % 6) + 1}` }), `${name} ${milliseconds(ms)}`),
  );
  $("stages").replaceChildren(...lines, make("li", { textContent: `in all ${milliseconds(total)}` }));
}

function card(placed, release) {
  const { product } = placed;
  const kind = product.categories[0]?.split(" > ").at(-1) ?? "";
  const line = [product.brand, product.title.includes(kind) ? "" : kind].filter(Boolean).join(" · ");
  const price = money(product.price, product.currency);
  const words = make(
    "div",
    { className: "words" },
    make("h2", { textContent: product.title || product.id }),
    line ? make("p", { textContent: line }) : null,
    price ? make("p", { className: "price", textContent: price }) : null,
    product.availability === "IN_STOCK"
      ? null
      : make("p", { textContent: product.availability.toLowerCase().replaceAll("_", " ") }),
    make("ul", { className: "why" }, ...placed.why.map((why) => make("li", { textContent: why }))),
    whyThisAd(placed.ad),
    acts(placed),
    explanation(placed),
  );
  const article = make("article", { className: "card" }, pictureOf(placed, release), words);
  return Object.assign(make("li", {}, article), { placed });
}

function whyThisAd(ad) {
  if (!ad) return null;
  const sentences = ad.why.map((why) => make("p", { textContent: why }));
  return make("details", {}, make("summary", { textContent: "Sponsored: why this ad?" }), ...sentences);
}

function pictureOf(placed, release) {
  const { product } = placed;
  const initial = [...(product.title || product.id).trim()][0] ?? "?";
  const frame = make("div", { className: "picture" });
  const image = make("img", { alt: "", loading: "lazy", width: 128, height: 128 });
  const drawn = about.pictures === "drawn" ? make("span", { className: "mark drawn", textContent: "drawn" }) : null;
  if (about.pictures === "none") {
    frame.append(initial);
  } else {
    image.onerror = () => frame.replaceChildren(initial, ...frame.querySelectorAll(".position, .sponsored"));
    image.src = `/v1/pictures/${encodeURIComponent(product.id)}?release=${encodeURIComponent(release)}`;
    frame.append(...[image, drawn].filter(Boolean));
  }
  frame.append(make("span", { className: "mark position", textContent: placed.position }));
  if (placed.sponsored) frame.append(make("span", { className: "mark sponsored", textContent: "sponsored" }));
  return frame;
}

function explanation(placed) {
  const features = Object.entries(placed.features).filter(([, value]) => value !== 0);
  const zeros = Object.keys(placed.features).length - features.length;
  const more = zeros ? `, and ${zeros} that are 0` : "";
  return make(
    "details",
    {},
    make("summary", { textContent: "Why is it here?" }),
    table("", [["product", placed.product.id], ["score", significant(placed.score)]]),
    numbers("Proposed by, with its score", Object.entries(placed.channels)),
    sentence("Moved", most(placed.moved).map(([name, value]) => `${value > 0 ? "up" : "down"} by ${name}`)),
    sentence("The ranker looked most at", most(placed.attended).map(([name, share]) => `${name} (${Math.round(100 * share)} %)`)),
    numbers(`What the ranker saw${more}`, features),
  );
}

function most(named) {
  return Object.entries(named).slice(0, 3);
}

function sentence(start, parts) {
  return parts.length ? make("p", { textContent: `${start} ${parts.join(", ")}.` }) : null;
}

function numbers(caption, rows) {
  return rows.length ? table(caption, rows.map(([name, value]) => [name, significant(value)])) : null;
}

function table(caption, rows) {
  const lines = rows.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { textContent: value })),
  );
  return make(
    "table",
    {},
    caption ? make("caption", { textContent: caption }) : null,
    make("tbody", {}, ...lines),
  );
}

function showAbout() {
  document.title = about.name ? `${about.name} · Vetrina` : "Vetrina";
  $("shop").textContent = `${about.name}, ${number(about.products, 0)} products`;
  $("release").textContent = `Release ${about.release}${about.until ? `, built from what was known before ${about.until.slice(0, 10)}` : ""}.`;
  $("drawn").hidden = about.pictures !== "drawn";
  const measured = flat(about.quality ?? {});
  $("measured").hidden = measured.length === 0;
  $("quality").replaceChildren(...table("", measured).tBodies[0].rows);
  if (about.days) $("at").min = about.days[0];
  showBuilding();
}

// Better releases may still be built beside the one that answers: say which, and about how long.

function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 5) return "nearly done";
  return minutes < 1 ? "less than a minute left" : `about ${minutes} min left`;
}

function showBuilding() {
  const { number: place, of, holds = [], learning = [], seconds_left: left, dark = [], failed } = about.building ?? {};
  const later = dark.filter((other) => other > place);
  const parts = [
    `Release ${place} of ${of} answers: ${holds.join(", ")}.`,
    learning.length && `Still learning: ${learning.join(", ")}, ${duration(left)}.`,
    ...later.map((other) => `Release ${other} is kept dark: it did not pass the gate.`),
    failed && `The building has stopped: ${failed}`,
  ];
  $("building").hidden = !place;
  $("building").textContent = place ? parts.filter(Boolean).join(" ") : "";
}

async function watchBuilding() {
  while (about.building?.learning?.length) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const before = about.release;
    about = await call("/v1/about").catch(() => about); // the server may be busy, or gone
    if (about.release === before) {
      showBuilding();
      continue;
    }
    showAbout();
    if (!document.querySelector("#products details[open]")) ask(); // nobody reads an explanation
  }
}

function flat(value, name = "") {
  if (value === null || typeof value !== "object") {
    return [[name, typeof value === "number" ? significant(value) : String(value)]];
  }
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, name ? `${name} ${key}` : key));
}

// The address remembers the question, so that it can be shared.

const firstDay = () => (about.until ?? about.days?.[1] ?? "").slice(0, 10);

function readAddress() {
  const asked = new URLSearchParams(location.search);
  for (const name of STATE) $(name).value = asked.get(name) ?? (name === "at" ? firstDay() : "");
}

function writeAddress() {
  const asked = new URLSearchParams();
  for (const name of STATE) {
    const value = $(name).value.trim();
    if (value && !(name === "at" && value === firstDay())) asked.set(name, value);
  }
  const address = asked.size ? `?${asked}` : location.pathname;
  if (address !== (location.search || location.pathname)) history.pushState(null, "", address);
}

function askAnew() {
  writeAddress();
  ask();
}

// Pictures: chosen, dropped or pasted

function usePicture(file) {
  if (file && file.size > LARGEST_PICTURE) {
    showError(new Refused({ field: "image", message: `${file.name} has ${number(file.size / 1e6, 1)} MB; at most 10 MB can be sent` }));
    return;
  }
  URL.revokeObjectURL($("thumbnail").src);
  picture = file;
  $("shown").hidden = !file;
  $("picture").value = "";
  if (file) {
    $("thumbnail").src = URL.createObjectURL(file);
    $("picture-name").textContent = file.name;
  }
  askAnew();
}

function listen() {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    askAnew();
  });
  $("text").addEventListener("input", offer);
  for (const id of ["user", "at", "filter"]) $(id).addEventListener("change", askAnew);
  $("picture").addEventListener("change", () => $("picture").files[0] && usePicture($("picture").files[0]));
  $("forget").addEventListener("click", () => {
    usePicture(null);
    $("text").focus();
  });
  addEventListener("popstate", () => {
    readAddress();
    ask();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  addEventListener("dragleave", () => document.body.classList.remove("dragging"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    if (event.dataTransfer.files[0]) usePicture(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData.files[0]) usePicture(event.clipboardData.files[0]);
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input")) return;
    event.preventDefault();
    $("text").focus();
  });
}

async function open() {
  listen();
  try {
    about = await callWhenOpen("/v1/about");
    const { shoppers } = await call("/v1/shoppers?limit=300");
    $("shoppers").replaceChildren(...shoppers.map((id) => make("option", { value: id })));
    $("try").append(...shoppers.slice(0, 5).map((id) => make("a", { href: `?user=${encodeURIComponent(id)}`, textContent: id })));
    $("try").hidden = shoppers.length === 0;
    showAbout();
  } catch (error) {
    showError(error);
    main.setAttribute("aria-busy", "false");
    return;
  }
  readAddress();
  ask();
  watchBuilding();
}

open();
