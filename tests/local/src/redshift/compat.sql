-- What the loader uses of Redshift and PostgreSQL lacks. Runs at every start.
-- Two runs sharing one server must not create the same object at once.
select pg_advisory_xact_lock(7310598427115);

-- Redshift's clock of a statement: UTC, without a zone.
create or replace function public.getdate() returns timestamp
    language sql stable
    as $$ select statement_timestamp() at time zone 'UTC' $$;

create sequence if not exists public.stepfleet_query_id;

-- The session's last COPY.
create or replace function public.pg_last_copy_id() returns bigint
    language sql volatile
    as $$ select coalesce(nullif(current_setting('stepfleet.last_copy_id', true), '')::bigint, -1) $$;

create or replace function public.pg_last_copy_count() returns bigint
    language sql volatile
    as $$ select coalesce(nullif(current_setting('stepfleet.last_copy_count', true), '')::bigint, 0) $$;

-- What the system views keep of loads. Redshift's logs are no part of any
-- transaction, so rows come from a connection of their own and stay.
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

alter table public.sys_load_history
    add column if not exists user_id int default 100,
    add column if not exists transaction_id bigint,
    add column if not exists file_format text,
    add column if not exists duration bigint;

create table if not exists public.sys_load_detail (
    user_id int default 100,
    query_id bigint,
    file_name text,
    bytes_scanned bigint,
    lines_scanned bigint,
    splits_scanned int default 1,
    error_count bigint,
    record_time timestamp
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

alter table public.sys_load_error_detail
    add column if not exists user_id int default 100,
    add column if not exists transaction_id bigint,
    add column if not exists session_id int,
    add column if not exists database_name text,
    add column if not exists table_id oid,
    add column if not exists start_time timestamp;

-- The same as the views of a provisioned cluster, whose texts are padded.
create or replace view public.stl_load_errors as select
    user_id as userid, 0 as slice, table_id as tbl, start_time as starttime,
    session_id as session, query_id as query, file_name::char(256) as filename,
    line_number, column_name::char(127) as colname, column_type::char(10) as type,
    column_length::char(10) as col_length, position, raw_line::char(1024) as raw_line,
    raw_field_value::char(1024) as raw_field_value, error_code as err_code,
    error_message::char(100) as err_reason
    from public.sys_load_error_detail;

create or replace view public.stl_load_commits as select
    user_id as userid, query_id as query, 0 as slice, file_name::char(256) as name,
    file_name::char(256) as filename, bytes_scanned as byte_offset,
    lines_scanned, error_count as errors, record_time as curtime, 1 as status
    from public.sys_load_detail;

-- The columns of a table as COPY sees them. `counts` are those that fill themselves.
create or replace function public.stepfleet_columns(target text)
    returns table (name text, sql_type text, "character" boolean, counts boolean, required boolean)
    language sql stable
    as $$ select a.attname::text, format_type(a.atttypid, a.atttypmod),
        t.typcategory = 'S', a.attidentity <> '', a.attnotnull
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = target::regclass and a.attnum > 0
        and not a.attisdropped and a.attgenerated = '' order by a.attnum $$;

-- COPY from S3 inside of a procedure: see the module `procedure`.
create schema if not exists stepfleet_copy;

create unlogged table if not exists stepfleet_copy.answers (
    request text primary key,
    command text,
    error text,
    query_id bigint,
    loaded bigint,
    at timestamptz default now()
);

create unlogged table if not exists stepfleet_copy.rows (
    request text,
    number bigint,
    fields text[],
    at timestamptz default now()
);
create index if not exists rows_of_a_request on stepfleet_copy.rows (request, number);

-- Of runs that ended before they tidied up.
delete from stepfleet_copy.answers where at < now() - interval '1 day';
delete from stepfleet_copy.rows where at < now() - interval '1 day';

-- What EXECUTE has to run for a command: itself, unless it is a COPY from S3.
-- Then the Data API, which hears the INFO, parses the files on a connection of
-- its own and says which INSERT loads what it found.
create or replace function public.stepfleet_execute(command text) returns text
    language plpgsql volatile
    as $$
declare
    bare text := regexp_replace(command, '^(\s|--[^\n]*\n|/\*([^*]|\*[^/])*\*/)+', '');
    target text := substring(bare from '(?i)^copy\s+((?:"(?:[^"]|"")+"|[[:alnum:]_$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[[:alnum:]_$]+))*)');
    asked text := md5(random()::text || clock_timestamp()::text || pg_backend_pid());
    columns jsonb;
    answer record;
begin
    if target is null or bare !~* '\sfrom\s+''s3://' then
        return command;
    end if;
    if current_setting('stepfleet.data_api', true) is distinct from 'on' then
        raise exception 'COPY from S3 in a procedure works through the Redshift Data API only'
            using errcode = 'feature_not_supported';
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'COPY from S3 in a procedure works in READ COMMITTED only'
            using errcode = 'feature_not_supported';
    end if;
    if to_regclass(target) is null then
        raise exception 'Cannot COPY into nonexistent table %', target;
    end if;
    select jsonb_agg(to_jsonb(c)) into columns from public.stepfleet_columns(target) c;
    raise info using message = 'stepfleet_copy', errcode = 'SFCPY',
        detail = jsonb_build_object('request', asked, 'command', command, 'columns', columns,
            'process', pg_backend_pid(), 'transaction', txid_current());
    for attempt in 1..120000 loop
        select * into answer from stepfleet_copy.answers a where a.request = asked;
        if not found then
            perform pg_sleep(0.005);
        elsif answer.error is not null then
            raise exception using message = answer.error, errcode = 'XX000';
        else
            perform set_config('stepfleet.last_copy_id', answer.query_id::text, false),
                set_config('stepfleet.last_copy_count', answer.loaded::text, false);
            return answer.command;
        end if;
    end loop;
    raise exception 'COPY: the files were not read within ten minutes';
end
$$;
