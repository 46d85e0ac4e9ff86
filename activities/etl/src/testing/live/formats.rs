//! Formats, options, headers and names with their real SQL.

use serde_json::{Value, json};

use super::*;

/// What a load says beside its place, its files, and the rows: NULL is a dash.
type Case = (Value, &'static [(&'static str, &'static str)], &'static str);

fn cases() -> Vec<Case> {
    vec![
        (
            json!({"format": "csv", "columns": ["ID", "Desc", "user", "order-id"]}),
            &[("a", "1,x,y,z\n2,,\\N,\"\"\n")],
            "1/x/y/z 2//-/",
        ),
        (
            json!({"format": "csv", "header": true}),
            &[
                ("a", "id,desc,user\n1,x,y\n"),
                ("b", "\u{feff}USER, ORDER-ID ,ID\ny,z,2\n"),
                ("c", "id,nope\n3,x\n"),
            ],
            "1/x/y/- 2/-/y/z",
        ),
        (
            json!({"format": "csv", "header": true, "columns": ["user", "id"]}),
            &[("a", "id,user\n1,x\n"), ("b", "2,y\n")],
            "1/-/x/-",
        ),
        (
            json!({"format": "csv", "header": "skip", "columns": ["user", "id"]}),
            &[("a", "id,user\nx,1\n")],
            "1/-/x/-",
        ),
        (
            json!({"format": "json"}),
            &[("a", "{\"ID\": 1, \"Desc\": \"x\", \"Order-Id\": null}\n")],
            "1/x/-/-",
        ),
        (
            json!({"format": "json", "columns": ["id", "desc"]}),
            &[("a", "{\"Id\": 1}\n"), ("b", "{\"foo\": 2}\n")],
            "1/-/-/-",
        ),
        (
            json!({"format": "text", "columns": ["id", "desc", "user"], "options":
                {"delimiter": "tab", "escape": true, "null_as": "it's $$ null", "empty_as_null": true}}),
            &[("a", "1\ta\\\tb\t\n2\tit's $$ null\tNULL\n")],
            "1/a\tb/-/- 2/-/NULL/-",
        ),
        (
            json!({"format": "csv", "columns": ["id", "desc", "user"], "options":
                {"delimiter": ";", "quote": "'", "fill_record": true, "ignore_blank_lines": true, "blanks_as_null": true, "truncate_columns": true}}),
            &[(
                "a",
                "1;'it''s;\"x\"';  \n\n2\n3;0123456789012345678901234\n",
            )],
            "1/it's;\"x\"/-/- 2///- 3/01234567890123456789//-",
        ),
        (
            json!({"format": "fixed_width", "header": "skip", "columns": ["id", "desc"], "options": {"widths": [3, 2]}}),
            &[("a", "id desc\n1  ab\n23 cd\n")],
            "1/ab/-/- 23/cd/-/-",
        ),
    ]
}

async fn rows(machine: &Machine) -> String {
    let text = ["desc", "user", "order-id"].map(|name| format!("coalesce(\"{name}\", '-')"));
    let sql = format!("SELECT id, {} FROM public.odd ORDER BY id", text.join(", "));
    let rows = machine.data().run(&sql, &[]).await.expect("rows");
    let rows: Vec<String> = rows.into_iter().map(|row| row.join("/")).collect();
    rows.join(" ")
}

#[tokio::test]
async fn what_is_said_is_what_is_loaded_in_both_ways_into_redshift() {
    let machine = Machine::start().await;
    machine.set_up().await;
    let odd = "CREATE TABLE public.odd (id int, \"desc\" varchar(20), \"user\" varchar(20), \"order-id\" varchar(20))";
    machine.data().run(odd, &[]).await.expect("a table");
    let reserved = "CREATE TABLE public.worse (id int, tag varchar(20))";
    let refused = machine.data().run(reserved, &[]).await.expect_err("a word");
    assert!(refused.reason.contains("at or near \"tag\""), "{refused}");
    for way in ["transaction", "procedure"] {
        for (number, (more, files, want)) in cases().into_iter().enumerate() {
            let prefix = format!("{way}{number}/");
            for (name, body) in files {
                let key = format!("{prefix}incoming/{name}");
                machine.put(&key, body.as_bytes().to_vec()).await;
            }
            let mut said = json!({"bucket": "land", "prefix": prefix, "table": "public.odd"});
            let fields = said.as_object_mut().expect("an object");
            fields.extend(more.as_object().expect("an object").clone());
            let input: LoadInput = serde_json::from_value(said.clone()).expect("an input");
            let output = machine.load(way, input).await;
            assert_eq!(rows(&machine).await, want, "{way}: {said}");
            let loaded = want.split(' ').filter(|row| row.contains('/')).count();
            assert_eq!(output.rows as usize, loaded, "{way}: {said}");
            assert_eq!(
                output.files + output.failed,
                files.len() as u64,
                "{way}: {said}"
            );
            let gone = machine.data().run("DELETE FROM public.odd", &[]).await;
            gone.expect("no rows");
        }
    }
}
