-- The tables of a lake as views: run this first, in the folder that holds `lake`.
--
--   cat examples/duckdb/tables.sql examples/duckdb/top_customers.sql | duckdb
--
-- "order" is a reserved word and stays in quotes. Money in the account's own currency is in the columns that begin with `base_`.

CREATE VIEW "order"                  AS FROM read_parquet('lake/order/**/*.parquet', hive_partitioning = true);
CREATE VIEW order_row                AS FROM read_parquet('lake/order_row/**/*.parquet', hive_partitioning = true);
CREATE VIEW order_party              AS FROM read_parquet('lake/order_party/**/*.parquet', hive_partitioning = true);
CREATE VIEW order_invoice            AS FROM read_parquet('lake/order_invoice/**/*.parquet', hive_partitioning = true);
CREATE VIEW customer_payment         AS FROM read_parquet('lake/customer_payment/**/*.parquet', hive_partitioning = true);
CREATE VIEW goods_in_note_movement   AS FROM read_parquet('lake/goods_in_note_movement/**/*.parquet', hive_partitioning = true);
CREATE VIEW journal                  AS FROM read_parquet('lake/journal/**/*.parquet', hive_partitioning = true);
CREATE VIEW journal_line             AS FROM read_parquet('lake/journal_line/**/*.parquet', hive_partitioning = true);
CREATE VIEW product_availability_warehouse
    AS FROM read_parquet('lake/product_availability_warehouse/**/*.parquet', hive_partitioning = true);
CREATE VIEW channel                  AS FROM read_parquet('lake/channel/*.parquet');
CREATE VIEW contact                  AS FROM read_parquet('lake/contact/*.parquet');
CREATE VIEW nominal_code             AS FROM read_parquet('lake/nominal_code/*.parquet');
CREATE VIEW warehouse                AS FROM read_parquet('lake/warehouse/*.parquet');
