//! The command line of the real binary, beside another one's activities.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

fn catalogue(handler: &str) -> String {
    format!(
        r#"version: 1
fleet: demo
aws: {{account: "123456789012", region: eu-west-1}}
deployments:
  pods:
activities:
  it:
    handler: {handler}
    deployment: pods
"#
    )
}

#[test]
fn it_skips_what_is_others_and_refuses_what_it_does_not_have() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let table = [
        (
            "resize.plan",
            Some(64),
            "activities.it.handler: found `resize.plan`, a handler that this binary does not have",
        ),
        (
            "etl.s3-load",
            Some(0),
            "resize-worker leaves it to others: etl.s3-load",
        ),
    ];
    for (handler, code, says) in table {
        let path = folder.join(format!("{handler}.yaml"));
        std::fs::write(&path, catalogue(handler)).unwrap();
        let run = |args: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_resize-worker"));
            let command = command.args(args).arg("--catalogue").arg(&path);
            let output = command.output().unwrap();
            let text = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(text).unwrap())
        };
        let (found, text) = run(&["check"]);
        assert_eq!(found, code, "{handler}: {text}");
        assert!(text.contains(says), "{handler}: {text}");
        let (found, text) = run(&[]);
        assert_eq!(found, Some(64), "{handler}: it has nothing to serve");
        let (served, _) = run(&["--activity", "it"]);
        assert_eq!(served, Some(64), "{handler}: {text}");
    }
}
