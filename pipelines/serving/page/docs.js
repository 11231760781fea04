// Shows /openapi.json: each path with what it takes and gives, and each noun with its fields.

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function nounName(schema) {
  return schema.$ref?.split("/").at(-1);
}

function link(name) {
  return make("a", { href: `#${name}`, textContent: name });
}

// The type of a schema in words: `string, at most 128 characters`, or a link to a noun.
function type(schema) {
  if (!schema) return "anything";
  if (nounName(schema)) return link(nounName(schema));
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const options = schema.oneOf ?? schema.anyOf;
  if (options) return join(options.map(type), " or ");
  if (schema.type === "array") return join(["list of ", type(schema.items)], "");
  if (schema.type === "object") return join(["map to ", type(schema.additionalProperties)], "");
  return schema.format ?? schema.type ?? "anything";
}

function join(parts, between) {
  const all = document.createDocumentFragment();
  parts.forEach((part, i) => all.append(...(i ? [between, part] : [part])));
  return all;
}

function limits(schema) {
  const { minimum, maximum, minLength, maxLength, maxItems } = schema;
  return [
    minimum !== undefined && `at least ${minimum.toLocaleString("en")}`,
    maximum !== undefined && `at most ${maximum.toLocaleString("en")}`,
    minLength !== undefined && `at least ${minLength} characters`,
    maxLength !== undefined && `at most ${maxLength.toLocaleString("en")} long`,
    maxItems !== undefined && `at most ${maxItems.toLocaleString("en")} of them`,
    schema.default !== undefined && `by default ${JSON.stringify(schema.default)}`,
    schema.description,
  ].filter(Boolean).join("; ");
}

// Words between backticks are code.
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? make("code", { textContent: part }) : part));
}

function path(name, method, operation) {
  const takes = nounName(operation.requestBody?.content["application/json"].schema ?? {});
  const [kind, given] = Object.entries(operation.responses["200"].content)[0];
  const section = make("article", { className: "path" },
    make("h2", {}, make("b", { textContent: `${method.toUpperCase()} ` }), name),
    make("p", {}, ...prose(operation.description)),
    make("p", {}, ...(takes ? ["Takes a ", link(takes), ", gives "] : ["Gives "]), kind === "application/json" ? type(given.schema) : kind),
  );
  for (const { name, in: place, schema } of operation.parameters ?? []) {
    section.append(make("p", {}, make("code", { textContent: name }), ` (${place}): `, type(schema), `; ${limits(schema)}`));
  }
  const errors = Object.entries(operation.responses).filter(([status]) => status !== "200");
  for (const [status, { description }] of errors) {
    section.append(make("p", {}, make("code", { textContent: status }), ` ${description}`));
  }
  return section;
}

function noun(name, schema) {
  const fields = Object.entries(schema.properties ?? {}).map(([field, inner]) =>
    make("tr", {},
      make("th", { scope: "row" }, make("code", { textContent: field + (schema.required?.includes(field) ? " *" : "") })),
      make("td", {}, type(inner)),
      make("td", { textContent: limits(inner) }),
    ));
  return make("article", { className: "noun", id: name },
    make("h3", { textContent: name }),
    ...(schema.description ? [make("p", { textContent: schema.description })] : []),
    ...(schema.enum ? [make("p", { textContent: schema.enum.join(" | ") })] : []),
    ...(fields.length ? [make("table", {}, make("tbody", {}, ...fields))] : []),
  );
}

const response = await fetch("/openapi.json");
const { paths, components } = await response.json();
for (const [name, methods] of Object.entries(paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    document.getElementById("paths").append(path(name, method, operation));
  }
}
for (const [name, schema] of Object.entries(components.schemas)) {
  document.getElementById("nouns").append(noun(name, schema));
}
