/* The ledger in the pages: opens a folded entry that a link points at, and makes the ledger's own table searchable and
   sortable. Search and sorting are DataTables', from the package itables (`_static/datatables.js`, made at every build);
   without scripts the table is still whole. */
(function () {
  "use strict";

  const PLACE = 0; // columns of the ledger's table
  const VERDICT = 4;
  const PAGE = 50; // rows

  function target() {
    return location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  }

  function reveal() {
    const row = target();
    const folded = row && row.closest("details");
    if (folded) folded.open = true;
    if (row) row.scrollIntoView({ block: "center" });
  }

  /* A labelled choice that narrows the table to one value of a column. */
  function choice(label, values, choose) {
    const box = document.createElement("label");
    const select = document.createElement("select");
    select.add(new Option("all", ""));
    for (const [value, count] of values) select.add(new Option(`${value} (${count})`, value));
    select.addEventListener("change", () => choose(select.value));
    box.append(`${label} `, select);
    return { box, select };
  }

  function tally(table, column) {
    const counts = new Map();
    for (const row of table.tBodies[0].rows) {
      const value = row.cells[column].textContent;
      counts.set(value, (counts.get(value) || 0) + 1);
    }
    return counts;
  }

  function enhance(table, DataTable) {
    const places = tally(table, PLACE);
    const verdicts = tally(table, VERDICT);
    const shown = new DataTable(table, { pageLength: PAGE, lengthMenu: [PAGE, 250, { label: "all", value: -1 }], order: [], autoWidth: false });
    const inPlace = choice("Where", places, (value) =>
      shown.column(PLACE).search((text) => !value || text === value).draw());
    const withVerdict = choice("Verdict", verdicts, (value) =>
      shown.column(VERDICT).search((text) => !value || text === value).draw());
    const bar = document.createElement("div");
    bar.className = "ledger-filters";
    bar.append(inPlace.box, withVerdict.box);
    table.closest(".dt-container").before(bar);

    /* Turn to the page of the row that the address names. */
    function turn() {
      const id = decodeURIComponent(location.hash.slice(1));
      const rows = shown.rows({ order: "applied", search: "applied" }).nodes().toArray();
      const place = id ? rows.findIndex((row) => row.id === id) : -1;
      for (const row of rows) row.classList.toggle("named", row.id === id);
      if (place >= 0 && shown.page.len() > 0) shown.page(Math.floor(place / shown.page.len())).draw(false);
    }

    function follow() {
      const wanted = new URLSearchParams(location.search);
      for (const [name, filter] of [["where", inPlace], ["verdict", withVerdict]]) {
        filter.select.value = location.hash ? "" : wanted.get(name) || "";
        filter.select.dispatchEvent(new Event("change"));
      }
      turn();
      reveal();
    }
    addEventListener("hashchange", follow);
    follow();
  }

  addEventListener("DOMContentLoaded", () => {
    const table = document.getElementById("ledger-table");
    if (table && window.bookDataTables) {
      window.bookDataTables().then((DataTable) => enhance(table, DataTable));
    } else {
      addEventListener("hashchange", reveal);
      reveal();
    }
  });
})();
