//! What a real PostgreSQL takes, leaves and refuses.

use super::*;

/// Loads a file of this content into `public.one`.
async fn one(target: &Postgres, skip: bool, body: &[u8]) -> Answer<FileOutcome> {
    let content: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = Object {
        key: format!(
            "incoming/{}.csv",
            crate::s3_load::batch::digest(&[&content])
        ),
        etag: "e".to_owned(),
        size: 8,
        modified: jiff::Timestamp::UNIX_EPOCH,
    };
    let header = if skip { "skip" } else { "none" };
    let input = input(&json!({"table": "public.one", "header": header}));
    let batch = Batch::new(&input, vec![file], "2026-01-01".to_owned());
    target.load(&batch, body.to_vec()).await
}

/// What was sent and what was taken are counted, whatever stands in the file.
#[tokio::test]
async fn every_record_is_counted() {
    let machine = Machine::start().await;
    let target = machine.target("127.0.0.1", "").await;
    target.set_up().await.expect("a ledger");
    // A line that is only the sign for the end is data, and rows that are left
    // out by whatever are missed before the commit.
    machine.say("CREATE TABLE public.one (a text)").await;
    let one = async |body: &str| one(&target, false, body.as_bytes()).await;
    for (body, rows) in [
        ("a\n\\.\nb\n", 3),
        ("a\r\n\\.\r\nb\r\n", 3),
        ("a\n\\.", 2),
        ("\"a\n\\.\nb\"\nc\n", 2),
        ("a\n\nb", 3),
        ("", 0),
    ] {
        let loaded = one(body).await.expect("a load");
        assert_eq!(loaded, FileOutcome::Loaded(rows), "{body:?}");
    }
    machine
        .say(
            "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN IF NEW.a = ''x'' THEN RETURN NULL; END IF; RETURN NEW; END'; \
             CREATE TRIGGER skip BEFORE INSERT ON public.one FOR EACH ROW EXECUTE FUNCTION skip()",
        )
        .await;
    for _ in 0..2 {
        let FileOutcome::Bad(bad) = one("y\nx\n").await.expect("an answer") else {
            panic!("a row was lost in silence");
        };
        assert!(bad.reason.contains("2 records"), "{bad:?}");
    }
    for (body, rows) in [
        ("name\nb\n", 1),
        ("\\.\nb\n", 1),
        ("\"na\nme\"\nb\nc", 2),
        ("name", 0),
    ] {
        let loaded = self::one(&target, true, body.as_bytes()).await;
        assert_eq!(
            loaded.expect("a load"),
            FileOutcome::Loaded(rows),
            "{body:?}"
        );
    }
    for body in [b"a\0b\n".as_slice(), b"a\xffb\n"] {
        let refused = self::one(&target, false, body).await.expect("an answer");
        assert!(matches!(refused, FileOutcome::Bad(_)), "{refused:?}");
    }
    machine.end().await;
}

/// A failure that is one file's is permanent, so that the others judge it; one of
/// the server's comes again.
#[tokio::test]
async fn every_failure_has_its_class() {
    let machine = Machine::start().await;
    let target = machine.target("127.0.0.1", "").await;
    target.set_up().await.expect("a ledger");
    machine
        .say(
            "CREATE ROLE nobody; CREATE TABLE public.one (a text); CREATE INDEX ON public.one (a); \
             CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN IF NEW.a = ''x'' THEN RAISE ''no x''; END IF; \
             IF NEW.a = ''slow'' THEN PERFORM pg_sleep(30); END IF; RETURN NEW; END'; \
             CREATE TRIGGER raise BEFORE INSERT ON public.one FOR EACH ROW EXECUTE FUNCTION raise()",
        )
        .await;
    // More than a page of an index holds, and not to be compressed.
    let long: String = (0..2_000_u64)
        .map(|at| crate::s3_load::batch::digest(&[&at.to_string()]))
        .collect();
    let cases = [
        ("x\n", "", Blame::Suspect, "no x"),
        (long.as_str(), "", Blame::Suspect, "index row"),
        (
            "slow\n",
            "statement_timeout = '200ms'",
            Blame::Suspect,
            "statement timeout",
        ),
        (
            "a\n",
            "default_transaction_read_only = on",
            Blame::Later,
            "read-only",
        ),
        ("a\n", "role = 'nobody'", Blame::Table, "permission denied"),
    ];
    for (body, setting, blame, says) in cases {
        machine.say("ALTER ROLE loader RESET ALL").await;
        if !setting.is_empty() {
            machine
                .say(&format!("ALTER ROLE loader SET {setting}"))
                .await;
        }
        let said = match one(&target, false, body.as_bytes()).await {
            Ok(FileOutcome::Odd(bad)) => (Blame::Suspect, bad.reason),
            Err(error) if error.class == Class::Transient => (Blame::Later, error.reason),
            Err(error) => (Blame::Table, error.reason),
            Ok(outcome) => panic!("{outcome:?}"),
        };
        assert_eq!(said.0, blame, "{}", said.1);
        assert!(said.1.contains(says), "{}", said.1);
    }
    machine.say("ALTER ROLE loader RESET ALL").await;
    let loaded = one(&target, false, b"a\n").await.expect("a load");
    assert_eq!(loaded, FileOutcome::Loaded(1));
    machine.end().await;
}

/// A report has the place in the file, as an editor counts it.
#[tokio::test]
async fn a_refusal_says_where_and_what_stood_there() {
    let machine = Machine::start().await;
    let target = machine.target("127.0.0.1", "").await;
    target.set_up().await.expect("a ledger");
    machine
        .say(
            "CREATE TABLE public.one (id int UNIQUE, data json, amount int NOT NULL CHECK (amount < 100))",
        )
        .await;
    let long = "z".repeat(400);
    let cases = [
        ("1,{},1\n2,{},ten\n", false, ("2", "amount", "ten", "22P02")),
        (
            "id,data,amount\n1,{},1\n2,{},ten\n",
            true,
            ("3", "amount", "ten", "22P02"),
        ),
        // The line is the file's and not that of the JSON.
        (
            "1,{},1\n2,{},1\n3,{},1\n4,{},1\n5,{bad,1\n",
            false,
            ("5", "data", "{bad", "22P02"),
        ),
        // A record of two lines is on its last one.
        (
            "1,{},1\n2,\"{\n}\",1\n3,\"{\n}\",x\n",
            false,
            ("5", "amount", "x", "22P02"),
        ),
        ("1,{},1\n2,{}\n", false, ("2", "amount", "2,{}", "22P04")),
        ("1,{},1,1\n", false, ("1", "", "1,{},1,1", "22P04")),
        ("1,{},\n", false, ("1", "amount", "1,{},", "23502")),
        ("1,{},500\n", false, ("1", "", "1,{},500", "23514")),
        ("1,{},1\n1,{},2\n", false, ("2", "", "", "23505")),
    ];
    for (body, header, (line, column, value, code)) in cases {
        let outcome = one(&target, header, body.as_bytes())
            .await
            .expect("an answer");
        let FileOutcome::Bad(bad) = outcome else {
            panic!("{body:?}: {outcome:?}");
        };
        let found = (
            bad.line.as_str(),
            bad.column.as_str(),
            bad.value.as_str(),
            bad.code.as_str(),
        );
        assert_eq!(found, (line, column, value, code), "{body:?}: {bad:?}");
        let detailed = ["23502", "23514", "23505"].contains(&code);
        assert!(!detailed || !bad.detail.is_empty(), "{bad:?}");
    }
    let outcome = one(&target, false, format!("{long},{{}},1\n").as_bytes()).await;
    let Ok(FileOutcome::Bad(bad)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(bad.value.len() < 200, "{bad:?}");
    machine.end().await;
}

/// One table, whatever its spelling and whoever has noted it; and the two tables
/// that PostgreSQL has where a name is quoted in capitals.
#[tokio::test]
async fn a_table_has_one_ledger_however_it_is_spelt() {
    let machine = Machine::start().await;
    let target = machine.target("127.0.0.1", "").await;
    target.set_up().await.expect("a ledger");
    machine
        .say(
            "CREATE TABLE public.casey (a int); CREATE TABLE public.\"Casey\" (a int); \
             CREATE TABLE public.\"user\" (a int); CREATE TABLE public.\"a-b c\" (a int)",
        )
        .await;
    let spelt = |table: &str, key: &str| {
        let file = Object {
            key: key.to_owned(),
            etag: "e".to_owned(),
            size: 2,
            modified: jiff::Timestamp::UNIX_EPOCH,
        };
        let input = input(&json!({"table": table}));
        let input = input
            .on(crate::s3_load::table::Dialect::Postgres)
            .expect("a table");
        Batch::new(&input, vec![file], "2026-01-01".to_owned())
    };
    let load = async |table: &str, key: &str| {
        let loaded = target.load(&spelt(table, key), b"1\n".to_vec()).await;
        loaded.expect("an answer")
    };
    let (loaded, already) = (FileOutcome::Loaded(1), FileOutcome::Already);
    for (table, want) in [
        ("public.casey", &loaded),
        ("Public.Casey", &already),
        ("\"public\".\"casey\"", &already),
        ("public.\"Casey\"", &loaded),
        ("public.user", &loaded),
        ("public.\"a-b c\"", &loaded),
    ] {
        assert_eq!(load(table, "one.csv").await, *want, "{table}");
    }

    // As loaders of before have noted it: among other tables, and never in quotes.
    machine
        .say(
            "INSERT INTO stepfleet.files (table_name, bucket, object_key, etag, batch_id, bytes, dt) \
             SELECT name, 'land', 'old.csv', 'e', 'b', 1, '2026-01-01' \
             FROM unnest(ARRAY['PUBLIC.Casey', 'Public.aaa', 'public.zzz', 'A.b', 'public.\"CASEY\"']) name",
        )
        .await;
    let known = async |table: &str| {
        let batch = spelt(table, "old.csv");
        let keys = ["one.csv".to_owned(), "old.csv".to_owned()];
        let rows = target.ledger(batch.input.table.id(), "land", &keys).await;
        let keys = rows.expect("rows").into_iter().map(|row| row.key);
        let mut keys: Vec<String> = keys.collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(known("public.CASEY").await, ["old.csv", "one.csv"]);
    assert_eq!(known("public.\"Casey\"").await, ["one.csv"]);
    assert_eq!(known("public.aaa").await, ["old.csv"]);
    assert_eq!(known("public.nobody").await, [""; 0]);
    machine.end().await;
}

/// Each load again takes the place of the one before, once.
#[tokio::test]
async fn a_file_that_comes_again_is_loaded_once_more() {
    let machine = Machine::start().await;
    let target = machine.target("127.0.0.1", "").await;
    target.set_up().await.expect("a ledger");
    machine.say("CREATE TABLE public.one (a text)").await;
    let input = input(&json!({"table": "public.one"}));
    let file = Object {
        key: "incoming/a.csv".to_owned(),
        etag: "e".to_owned(),
        size: 2,
        modified: jiff::Timestamp::UNIX_EPOCH,
    };
    let keys = [file.key.clone()];
    let ledger = async || {
        let rows = target.ledger("public.one", "land", &keys).await;
        rows.expect("the ledger")
    };
    let load = async |batch: &Batch| {
        let loaded = target.load(batch, b"x\n".to_vec()).await;
        loaded.expect("a load")
    };
    let first = Batch::new(&input, vec![file], "2026-01-01".to_owned());
    assert_eq!(load(&first).await, FileOutcome::Loaded(1));
    machine
        .say("UPDATE stepfleet.files SET loaded_at = loaded_at - interval '1 hour'")
        .await;
    let mut last = first.clone();
    for _ in 0..2 {
        let rows = ledger().await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0].batch_id, last.id);
        assert_eq!(
            rows[0].age.as_secs() >= 3_600,
            last.id == first.id,
            "{rows:?}"
        );
        let mut before = crate::s3_load::batch::Before::default();
        before.add(&rows[0]);
        let again = first.clone().again(&before);
        // Two that know the same are one.
        let (one, two) = tokio::join!(load(&again), load(&again));
        let outcomes = [one, two];
        assert!(outcomes.contains(&FileOutcome::Loaded(1)), "{outcomes:?}");
        assert!(outcomes.contains(&FileOutcome::Already), "{outcomes:?}");
        // Whoever knows less than the ledger does nothing.
        assert_eq!(load(&last).await, FileOutcome::Already);
        last = again;
    }
    let client = machine.warehouse.connection().await.expect("a connection");
    let count = client
        .query_one("SELECT count(*) FROM public.one", &[])
        .await;
    assert_eq!(count.expect("a count").get::<_, i64>(0), 3);
    machine.end().await;
}

/// One rule for what stands in a file, whatever the COPY of a PostgreSQL would do.
#[tokio::test]
async fn a_file_means_here_what_it_means_in_redshift() {
    let machine = Machine::start().await;
    let target = machine.target("127.0.0.1", "").await;
    target.set_up().await.expect("a ledger");
    machine
        .say("CREATE TABLE public.odd (id int, \"desc\" varchar(5), \"Unit Price\" numeric)")
        .await;
    let load = async |more: serde_json::Value, body: &str| {
        let mut said = json!({"table": "public.odd"});
        let fields = said.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        let input = input(&said);
        let input = input
            .on(crate::s3_load::table::Dialect::Postgres)
            .expect("an input");
        let file = Object {
            key: format!(
                "incoming/{}",
                crate::s3_load::batch::digest(&[body, &said.to_string()])
            ),
            etag: "e".to_owned(),
            size: body.len() as u64,
            modified: jiff::Timestamp::UNIX_EPOCH,
        };
        let batch = Batch::new(&input, vec![file], "2026-01-01".to_owned());
        target.load(&batch, body.into()).await.expect("an answer")
    };
    for (more, body, want) in [
        (
            json!({}),
            "1,\"he is\",2\n2,,\n3,\\N,\"\"\n4,\"\\N\", \n",
            "1/he is/2 2//- 3/-/- 4/\\N/-",
        ),
        (
            json!({"options": {"empty_as_null": true, "escape": true}}),
            "1,\"\\\"hi\\\"\",2\n2,,\n",
            "1/\"hi\"/2 2/-/-",
        ),
        (
            json!({"header": true}),
            "Unit price,DESC,id\n2,a,1\n",
            "1/a/2",
        ),
        (
            json!({"header": true, "columns": ["id", "desc"]}),
            "desc,id\na,1\n",
            "1/a/-",
        ),
        (
            json!({"format": "text", "header": "skip"}),
            "x\n1|\"a|2\n",
            "1/\"a/2",
        ),
        (
            json!({"format": "json"}),
            "{\"ID\": 1, \"Desc\": \"a\", \"unit price\": 123456789012345678901234567890.25}\n",
            "1/a/123456789012345678901234567890.25",
        ),
        (
            json!({"options": {"truncate_columns": true, "fill_record": true}}),
            "1,äöüßxy\n",
            "1/äöüßx/-",
        ),
    ] {
        let loaded = load(more.clone(), body).await;
        assert!(
            matches!(loaded, FileOutcome::Loaded(_)),
            "{more}: {loaded:?}"
        );
        let rows = "SELECT string_agg(concat_ws('/', id, coalesce(\"desc\", '-'), coalesce(\"Unit Price\"::text, '-')), ' ' ORDER BY id) FROM public.odd";
        let say = format!(
            "DO $do$ DECLARE found text := ({rows}); BEGIN IF found IS DISTINCT FROM $x${want}$x$ THEN RAISE EXCEPTION '%', found; END IF; END $do$"
        );
        machine.say(&say).await;
        machine.say("DELETE FROM public.odd").await;
    }
    for (more, body, line, says) in [
        (
            json!({}),
            "1,a,2\n2,\"he said \\\"hi\\\"\",3\n",
            "2",
            "closing quotation mark",
        ),
        (
            json!({"header": true}),
            "1,a,2\n",
            "1",
            "none of the columns: id, desc, \"Unit Price\"",
        ),
        (
            json!({"header": true}),
            "id,desc,desc\n1,a,b\n",
            "1",
            "twice",
        ),
        (
            json!({"format": "json"}),
            "{\"foo\": 1}\n",
            "1",
            "no object",
        ),
        (
            json!({"header": "skip", "options": {"ignore_blank_lines": true}}),
            "x\n\n1,a,2\nz,a,2\n",
            "4",
            "integer",
        ),
        (
            json!({"format": "json"}),
            "{\"id\":\n1}\n{\"id\": \"x\"}\n",
            "3",
            "integer",
        ),
    ] {
        let FileOutcome::Bad(bad) = load(more.clone(), body).await else {
            panic!("{more}: {body:?} was loaded");
        };
        assert_eq!(bad.line, line, "{bad:?}");
        assert!(bad.reason.contains(says), "{bad:?}");
    }
    machine.end().await;
}
