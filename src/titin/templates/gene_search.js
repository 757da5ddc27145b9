// Looks up a gene of the page's own document; names are written as text, never as HTML.
(() => {
  const found = JSON.parse(document.getElementById("gene-document").textContent);
  const names = Object.keys(found.genes).sort();
  const upper = new Map(names.map(name => [name.toUpperCase(), name]));
  const field = document.getElementById("gene-field"), out = document.getElementById("gene-answer");
  const number = value => value === null ? "" : (value > 0 ? "+" : "") + value.toFixed(2);
  const add = (parent, tag, text, kind) => {
    const made = parent.appendChild(document.createElement(tag));
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const table = rows => {
    const made = add(add(out, "div", undefined, "scroll"), "table");
    const head = add(add(made, "thead"), "tr");
    ["where", "log2 fold change a decade", "95 % interval", "adjusted p"].forEach(
      (name, i) => add(head, "th", name, i ? "number" : ""));
    const body = add(made, "tbody");
    for (const [place, effect, low, high, p] of rows) {
      const row = add(body, "tr");
      [found.places[place], number(effect), `${number(low)} to ${number(high)}`, p === null ? "" : String(p)].forEach(
        (text, i) => add(row, "td", text, i ? "number" : ""));
    }
  };
  const show = () => {
    const asked = field.value.trim().toUpperCase();
    out.replaceChildren();
    if (!asked) return;
    const gene = upper.get(asked);
    if (gene !== undefined) {
      add(out, "p", `${gene}: its clearest comparisons.`);
      table(found.genes[gene]);
      return;
    }
    const near = names.filter(name => name.toUpperCase().startsWith(asked)).slice(0, 12);
    const omitted = found.omitted ? ` ${found.omitted.toLocaleString("en")} genes of which nothing is clear are not in ` +
      "this page." : "";
    add(out, "p", near.length ? `Genes that begin so: ${near.join(", ")}.`
                              : `No gene of that name among those compared.${omitted}`);
  };
  field.addEventListener("input", show);
  document.getElementById("gene-search").hidden = false;
})();
