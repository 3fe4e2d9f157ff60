"""What the project promises about speed and size, measured: `python -m bench`.

Each measurement is a module with functions that return `Figure`s; `registry` lists them, `table` shows them beside
the budgets. Nothing here is a test: a missed budget is shown, not asserted.
"""
