-- The release as a table, and a sample of it with the mixture's shares of tokens. Run in the folder of the release:
--   duckdb -init exports/duckdb.sql
CREATE OR REPLACE VIEW release AS SELECT * FROM read_parquet([
    @FILES
]);

-- Which part of the rows of each domain is in the mixture; the scarcest domain is there whole.
CREATE OR REPLACE TABLE rates (domain VARCHAR, rate DOUBLE);
INSERT INTO rates VALUES
    @RATES;

-- The hash of an id decides, so that the same rows come back every time.
CREATE OR REPLACE VIEW mixture AS
SELECT release.* FROM release JOIN rates USING (domain)
WHERE hash(@SEED || id) / 18446744073709551616.0 < rate;
