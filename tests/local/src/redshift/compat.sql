-- What the loader uses of Redshift and PostgreSQL lacks. Runs at every start.
-- Two runs sharing one server must not create the same object at once.
select pg_advisory_xact_lock(7310598427115);

-- Redshift's clock of a statement: UTC, without a zone.
create or replace function public.getdate() returns timestamp
    language sql stable
    as $$ select statement_timestamp() at time zone 'UTC' $$;

create sequence if not exists public.stepfleet_query_id;

create table if not exists public.sys_load_history (
    query_id bigint,
    session_id int,
    database_name text,
    table_name text,
    data_source text,
    status text,
    loaded_rows bigint,
    loaded_bytes bigint,
    source_file_count bigint,
    error_count bigint,
    start_time timestamp,
    end_time timestamp
);

create table if not exists public.sys_load_error_detail (
    query_id bigint,
    file_name text,
    line_number bigint,
    column_name text,
    column_type text,
    column_length text,
    position int,
    raw_line text,
    raw_field_value text,
    error_code int,
    error_message text
);
