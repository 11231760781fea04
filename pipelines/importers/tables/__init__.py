"""Tables: reads CSV, TSV, JSON and Parquet row by row, with line numbers, in bounded memory."""
