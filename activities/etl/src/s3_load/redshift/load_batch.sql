CREATE OR REPLACE PROCEDURE stepfleet.${NAME}(
    batch IN varchar(64),      -- the hash over the table and the files
    target IN varchar(256),    -- "schema"."table"
    names IN varchar(max),     -- ("a", "b"), or nothing
    list IN varchar(max),      -- the URL of the files as the ledger's rows
    manifest IN varchar(max),  -- the URL of the manifest
    how IN varchar(max),       -- FORMAT CSV DELIMITER ';' IGNOREHEADER 1 GZIP
    reader IN varchar(max),    -- the role in quotes, or default
    day IN varchar(10)${AGAIN}
)
AS $load_batch$
DECLARE
    known bigint;
    known_as varchar(256);     -- the table's one name, however it is spelt
BEGIN
    -- These become a part of a statement.
    IF target !~ '^"[A-Za-z0-9_$ -]+"[.]"[A-Za-z0-9_$ -]+"$'
        OR names !~ '^( [(]"[^"]+"(, "[^"]+")*[)])?$'
        OR how !~ '^(FORMAT|DELIMITER|FIXEDWIDTH)( [A-Z0-9]+| ''([^'']|'''')*'')+$'
        OR reader !~ '^(default|''[^'']*'')$' THEN
        RAISE EXCEPTION 'stepfleet.${NAME}: an argument is not what the loader passes';
    END IF;
    known_as := replace(lower(target), '"', '');
    CREATE TEMP TABLE stepfleet_batch (${FILE});
    EXECUTE 'COPY stepfleet_batch (batch_id, bucket, object_key, etag, bytes) FROM '
        || quote_literal(list) || ' IAM_ROLE ' || reader || ' FORMAT JSON ''auto''';
    SELECT INTO known count(*) FROM stepfleet.ledger l WHERE l.batch_id = batch;
    IF known > 0 THEN
        known := -1;           -- this very batch
    ELSE
        SELECT INTO known count(*) FROM stepfleet.ledger l
            JOIN stepfleet_batch s
                ON l.bucket = s.bucket AND l.object_key = s.object_key AND l.etag = s.etag
            WHERE lower(l.table_name) = known_as;
    END IF;
    IF known = ${BEFORE} THEN
        EXECUTE 'COPY ' || target || names || ' FROM ' || quote_literal(manifest)
            || ' IAM_ROLE ' || reader || ' MANIFEST ' || how;
        INSERT INTO stepfleet.ledger
            (batch_id, bucket, object_key, etag, bytes, table_name, dt, loaded_at, verified)
            SELECT s.batch_id, s.bucket, s.object_key, s.etag, s.bytes, known_as, day, getdate(), false
            FROM stepfleet_batch s;
    END IF;
    DROP TABLE stepfleet_batch;
END;
$load_batch$ LANGUAGE plpgsql
