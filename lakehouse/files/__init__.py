"""Landing files: finding them, and reading them into typed Arrow without losing anything.

One reader for both engines, so its meaning is one by construction. Each format has an *exact* reader, plain Python
that says what a record means (`csv_record`, `json_record`, `arrow_value`, `typed.read_value`), and a *fast* one that reads
whole chunks (`csv_lines`, `json_lines`, `arrow_column`, `typed.read_column`). The fast reader keeps only what it can prove to be what the
exact one would say; every other row is read again by the exact one.
"""
