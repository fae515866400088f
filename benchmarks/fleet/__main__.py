"""Measures costs, and writes the tables to the page about sizing: `make fleet`."""

from benchmarks.fleet.costs import measured_costs
from benchmarks.fleet.page import FLEETS, PAGE, STORMS, page_with_tables, report

if __name__ == "__main__":
    tables = report(measured_costs(), 27, FLEETS, STORMS)
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
    print(tables)
