"""Counts the rows of sealed files of the audit, with the libraries that auditors have."""
import json, sys

import duckdb
import pyarrow.parquet

files = sys.argv[1:]
table = pyarrow.concat_tables([pyarrow.parquet.read_table(file) for file in files])
calls = [surface for client, surface in zip(table["client"].to_pylist(), table["surface"].to_pylist())
         if client == "full" and surface == "rest"]
failed = [message for message in table["mcp"].to_pylist() if message and json.loads(message).get("is_error")]
database = duckdb.connect()
query = database.execute(
    "select count(*), count(*) filter (client = 'full' and surface = 'rest' and time < now() and id is not null), "
    "count(*) filter (mcp->>'is_error' = 'true') from read_parquet(?)",
    [files])
rows, found, errors = query.fetchone()
print(json.dumps({
    "pyarrow": {"rows": table.num_rows, "calls_of_full": len(calls), "tool_errors": len(failed)},
    "duckdb": {"rows": rows, "calls_of_full": found, "tool_errors": errors},
}))
