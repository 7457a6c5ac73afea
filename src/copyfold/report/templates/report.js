"use strict";
(() => {
  const rowsPerPage = 50;
  const tables = {};
  const collator = new Intl.Collator("en", { numeric: true });

  const shownValue = (column, row) => {
    const value = column.values[row];
    if (value === null || value === undefined) return "";
    return column.words && value in column.words ? column.words[value] : String(value);
  };

  const kind = (shown) => shown.replace(/ \(.*/, ""); // "amplified (3)" is one kind of "amplified"

  function bigTable(box) {
    const data = JSON.parse(box.querySelector("script").textContent);
    const { columns } = data;
    const form = box.querySelector("form");
    const body = box.querySelector("tbody");
    const heads = [...box.querySelectorAll("thead th")];
    const [back, next] = box.querySelectorAll(".pages button");
    const place = box.querySelector(".pages span");
    const status = box.querySelector(".shown");
    const total = columns[0].values.length;
    const state = { rows: [...Array(total).keys()], page: 0, sorted: null, descending: false };
    const haystack = [];
    for (let row = 0; row < total; row++) {
      haystack.push(columns.map((column) => shownValue(column, row)).join("\t").toLowerCase());
    }

    function draw() {
      const pages = Math.max(1, Math.ceil(state.rows.length / rowsPerPage));
      state.page = Math.min(Math.max(state.page, 0), pages - 1);
      const lines = state.rows.slice(state.page * rowsPerPage, (state.page + 1) * rowsPerPage).map((row) => {
        const line = document.createElement("tr");
        columns.forEach((column, i) => {
          const cell = document.createElement(i ? "td" : "th");
          if (!i) cell.scope = "row";
          cell.textContent = shownValue(column, row);
          if (column.words) cell.className = cell.textContent.replace(/[^a-z]/g, "");
          else if (typeof column.values[row] === "number") cell.className = "number";
          line.append(cell);
        });
        return line;
      });
      body.replaceChildren(...lines);
      const rows = (n) => n.toLocaleString("en") + (n === 1 ? " row" : " rows");
      status.textContent = state.rows.length === total ? rows(total) : `${rows(state.rows.length)} of ${total.toLocaleString("en")}`;
      place.textContent = `page ${state.page + 1} of ${pages}`;
      back.disabled = state.page === 0;
      next.disabled = state.page === pages - 1;
    }

    function order(rows) {
      if (state.sorted === null) return rows;
      const { values } = columns[state.sorted];
      const sign = state.descending ? -1 : 1;
      const missing = (value) => value === null || value === "";
      return rows.sort((a, b) => {
        const x = values[a], y = values[b];
        if (missing(x) || missing(y)) return missing(x) - missing(y) || a - b; // unknown ones last, either way
        return sign * (typeof x === "number" ? x - y : collator.compare(x, y)) || a - b;
      });
    }

    function choose() {
      const wanted = form.elements.find.value.trim().toLowerCase();
      const column = form.elements.column && columns.find((each) => each.name === form.elements.column.value);
      const value = form.elements.value ? form.elements.value.value : "";
      const rows = [];
      for (let row = 0; row < total; row++) {
        if (wanted && !haystack[row].includes(wanted)) continue;
        if (value) {
          const shown = shownValue(column, row);
          if (shown !== value && kind(shown) !== value) continue;
        }
        rows.push(row);
      }
      state.rows = order(rows);
      state.page = 0;
      draw();
    }

    function offerValues() {
      const column = columns.find((each) => each.name === form.elements.column.value);
      const shown = column.values.map((_, row) => shownValue(column, row));
      const found = [...new Set(column.words ? [...shown, ...shown.map(kind)] : shown)].sort(collator.compare);
      form.elements.value.replaceChildren(new Option("anything", ""), ...found.filter(Boolean).map((each) => new Option(each)));
    }

    function save() {
      const clean = (value) => (value === null ? "" : String(value).replace(/[\t\r\n]/g, " "));
      const lines = [columns.map((column) => column.name).join("\t")];
      for (const row of state.rows) lines.push(columns.map((column) => clean(column.values[row])).join("\t"));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/tab-separated-values" }));
      link.download = data.file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }

    heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
      const numbers = columns[i].values.some((value) => typeof value === "number");
      state.descending = state.sorted === i ? !state.descending : numbers; // what is largest is looked for first
      state.sorted = i;
      heads.forEach((each, j) => each.setAttribute("aria-sort", j === i ? (state.descending ? "descending" : "ascending") : "none"));
      order(state.rows);
      state.page = 0;
      draw();
    }));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.elements.find.addEventListener("input", choose);
    if (form.elements.column) {
      form.elements.column.addEventListener("change", () => { offerValues(); choose(); });
      form.elements.value.addEventListener("change", choose);
      offerValues();
    }
    form.elements.save.addEventListener("click", save);
    back.addEventListener("click", () => { state.page -= 1; draw(); });
    next.addEventListener("click", () => { state.page += 1; draw(); });
    tables[box.dataset.big] = { columns, show: (row) => columns.filter((_, i) => shownValue(columns[i], row)).slice(0, 8)
      .map((column) => `${column.name}: ${shownValue(column, row)}`).join("\n") };
    draw();
  }

  function hover(figure) {
    const data = JSON.parse(figure.dataset.hover);
    const svg = figure.querySelector("svg");
    const tip = document.getElementById("hover");
    svg.addEventListener("mousemove", (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let best = null, least = 64;
      for (const [right, down] of data.shifts) {
        for (let i = 0; i < data.x.length; i++) {
          if (data.x[i] === null) continue;
          const distance = (data.x[i] + right - x) ** 2 + (data.y[i] + down - y) ** 2;
          if (distance < least) { least = distance; best = i; }
        }
      }
      tip.hidden = best === null || !(data.table in tables);
      if (tip.hidden) return;
      tip.textContent = tables[data.table].show(best);
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
    });
    svg.addEventListener("mouseleave", () => { tip.hidden = true; });
  }

  document.querySelectorAll("[data-big]").forEach(bigTable);
  document.querySelectorAll("[data-hover]").forEach(hover);
})();
