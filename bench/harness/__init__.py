"""What `bench/run` is made of: programs under test, rows, and the table."""
