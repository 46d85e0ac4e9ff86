-- Statements run as a role of their own. What they made as the server's superuser, in a folder
-- of before there was that role, becomes the role's: it could not be altered or dropped else.
do $$
declare
    wanted text := current_setting('stepfleet.role');
    one record;
begin
    for one in
        select format('alter schema %I owner to %I', n.nspname, wanted) as command
        from pg_namespace n
        where n.nspowner = current_user::regrole and n.nspname !~ '^pg_'
        and n.nspname not in ('information_schema', 'public', 'stepfleet_copy')
    union all
        select format('alter table %I.%I owner to %I', n.nspname, c.relname, wanted)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relowner = current_user::regrole and n.nspname !~ '^pg_'
        and n.nspname not in ('information_schema', 'stepfleet_copy') and c.relkind in ('r', 'p', 'v', 'm', 'S')
        and c.relname not in ('sys_load_history', 'sys_load_detail', 'sys_load_error_detail',
            'stl_load_errors', 'stl_load_commits', 'stepfleet_query_id')
        -- A sequence that belongs to a column goes with its table.
        and not exists (select from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass
            and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and c.relkind = 'S')
    union all
        select format('alter routine %s owner to %I', p.oid::regprocedure, wanted)
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where p.proowner = current_user::regrole and n.nspname !~ '^pg_'
        and n.nspname not in ('information_schema', 'stepfleet_copy')
        and p.proname not in ('getdate', 'pg_last_copy_id', 'pg_last_copy_count', 'stepfleet_columns',
            'stepfleet_execute')
    loop
        execute one.command;
    end loop;
end
$$;
