-- The role that statements run as, and what it may do.
do $$
declare
    wanted text := current_setting('stepfleet.role');
    super boolean := (select rolsuper from pg_roles where rolname = current_user);
begin
    -- Two runs sharing one server must not create it at once.
    perform pg_advisory_xact_lock(7310598427116);
    if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I login', wanted);
    end if;
    if super then
        execute format('alter role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls '
            'connection limit -1', wanted);
    end if;
    -- Of its own accord it may change both: its password, and what its sessions begin with.
    execute format('alter role %I password %L', wanted, current_setting('stepfleet.role_password'));
    execute format('alter role %I reset all', wanted);
    execute format('alter role %I in database %I reset all', wanted, current_database());
    execute format('grant connect, create, temporary on database %I to %I', current_database(), wanted);
    execute format('grant usage, create on schema public to %I', wanted);
    execute format('grant usage on schema stepfleet_copy to %I', wanted);
    execute format('grant select, insert, delete on stepfleet_copy.answers, stepfleet_copy.rows to %I', wanted);
    execute format('grant select on public.sys_load_history, public.sys_load_detail, '
        'public.sys_load_error_detail, public.stl_load_errors, public.stl_load_commits to %I', wanted);
end
$$;
select set_config('stepfleet.role_password', '', false);
