"""Delta tables of others, read as changes: what each of their commits did, in typed Arrow."""
