//! The program itself: what it prints, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn binary(arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepfleet-local"));
    command.args(arguments).current_dir(dir);
    command
}

#[test]
fn the_binary_says_what_is_wrong_in_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let cases: [(&[&str], i32, &str); 5] = [
        (&["serve", "--nonsense"], 64, "--nonsense"),
        (
            &["serve", "--statement-latency", "soon"],
            64,
            "--statement-latency",
        ),
        (
            &["serve", "--no-warehouse", "--listen", "here"],
            64,
            "--listen here",
        ),
        (
            &["serve", "--no-warehouse", "--listen", &taken],
            1,
            "in use",
        ),
        (&["--version"], 0, ""),
    ];
    for (arguments, code, said) in cases {
        let output = binary(arguments, folder.path()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
}

#[test]
fn the_binary_prints_exports_and_ready_and_ends_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "serve",
        "--no-warehouse",
        "--listen",
        "127.0.0.1:0",
        "--cluster-listen",
        "127.0.0.1:0",
    ];
    let mut command = binary(&arguments, folder.path());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    while !printed.ends_with("ready\n") {
        assert_ne!(stdout.read_line(&mut printed).unwrap(), 0, "{printed}");
    }
    for export in [
        "export AWS_ENDPOINT_URL='http://127.0.0.1:",
        "export AWS_ACCESS_KEY_ID=",
        "export AWS_SECRET_ACCESS_KEY=",
        "export AWS_REGION='eu-west-1'",
        "export KUBECONFIG='",
    ] {
        assert!(printed.contains(export), "{export}: {printed}");
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}
