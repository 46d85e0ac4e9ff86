//! The start of everything: from a catalogue, and what is in its way.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stepfleet_activity::alarm;
use stepfleet_activity::catalogue::{self, ReadOptions};
use stepfleet_local::serve::{Local, LocalOptions, StartError, WarehouseOption};

use crate::aws::{self, Aws, until};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fleet.yaml")
}

/// A program that says how it was called and by whom, and waits.
fn worker(dir: &Path) -> PathBuf {
    let path = dir.join("worker");
    let script = "#!/bin/sh\nid -u >&2\necho \"$AWS_ENDPOINT_URL $@\"\nexec sleep 600\n";
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What the pods have said, once all of `lines` are there.
async fn called(aws: &Aws, lines: usize) -> Vec<String> {
    let logs = aws.local.context.dir.join("logs");
    let mut said = Vec::new();
    until("the worker is called", async || {
        let files = fs::read_dir(&logs).into_iter().flatten().flatten();
        let texts = files.map(|file| fs::read_to_string(file.path()).unwrap_or_default());
        let all: String = texts.collect();
        said = all.lines().map(str::to_owned).collect();
        all.ends_with('\n') && said.len() >= lines
    })
    .await;
    said
}

fn example_in(options: &mut LocalOptions, worker: PathBuf) {
    options.catalogues = vec![example()];
    options.allow_short_periods = true;
    options.metric_resolution = Duration::from_secs(10);
    options.worker = Some(worker);
}

#[tokio::test]
async fn a_catalogue_is_made_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(folder.path());
    let aws = aws::start(|options| example_in(options, worker.clone())).await;
    let read = ReadOptions {
        allow_short_periods: true,
    };
    let catalogue = catalogue::read(&example(), &read).unwrap();

    let sfn = aws_sdk_sfn::Client::new(&aws.config);
    let listed = sfn.list_activities().send().await.unwrap();
    let found: Vec<_> = listed
        .activities
        .iter()
        .map(|one| one.activity_arn())
        .collect();
    let wanted: Vec<_> = catalogue
        .activities
        .values()
        .map(|one| one.arn.as_str())
        .collect();
    assert_eq!(found, wanted);

    let cloudwatch = aws_sdk_cloudwatch::Client::new(&aws.config);
    let described = cloudwatch.describe_alarms().send().await.unwrap();
    let topic = "arn:aws:sns:eu-west-1:123456789012:demo-signals";
    let specs = catalogue.activities.values();
    let specs = specs.flat_map(|activity| alarm::alarms(&catalogue, activity));
    let specs: Vec<_> = specs.collect();
    assert_eq!(described.metric_alarms().len(), specs.len());
    for spec in specs {
        let mut alarms = described.metric_alarms().iter();
        let alarm = alarms.find(|alarm| alarm.alarm_name() == Some(&spec.name));
        let alarm = alarm.unwrap_or_else(|| panic!("no alarm {}", spec.name));
        assert_eq!(alarm.alarm_arn(), Some(spec.arn.as_str()));
        assert_eq!(alarm.alarm_actions(), [topic]);
        assert_eq!(alarm.ok_actions(), [topic]);
        assert_eq!(alarm.threshold(), Some(spec.threshold));
    }

    let sns = aws_sdk_sns::Client::new(&aws.config);
    let subscriptions = sns.list_subscriptions_by_topic().topic_arn(topic);
    let subscriptions = subscriptions.send().await.unwrap();
    let queue = subscriptions.subscriptions()[0].endpoint();
    assert_eq!(
        queue,
        Some("arn:aws:sqs:eu-west-1:123456789012:demo-signals")
    );
    let sqs = aws_sdk_sqs::Client::new(&aws.config);
    let queues = sqs.list_queues().send().await.unwrap();
    assert_eq!(queues.queue_urls().len(), 2, "{queues:?}");
    let attributes = sqs.get_queue_attributes().queue_url(format!(
        "{}/123456789012/demo-signals",
        aws.local.context.base_url
    ));
    let attributes = attributes.attribute_names("RedrivePolicy".into());
    let attributes = attributes.send().await.unwrap();
    let policy = format!("{:?}", attributes.attributes());
    assert!(policy.contains("demo-signals-dead"), "{policy}");

    assert_eq!(aws.local.cluster.replicas("s3-load"), Some(1));
    let said = called(&aws, 2).await;
    let own = nix::unistd::Uid::effective();
    assert_eq!(said[0] == "0", false, "no pod is root: {said:?}");
    assert!(own.is_root() || said[0] == own.to_string(), "{said:?}");
    let catalogue = fs::canonicalize(example()).unwrap();
    let words: Vec<&str> = said[1].split_whitespace().collect();
    assert_eq!(words[0], aws.local.context.base_url);
    assert_eq!(fs::read(words[2]).unwrap(), fs::read(catalogue).unwrap());
    assert_eq!(
        words[3..6],
        ["--allow-short-periods", "--activity", "s3-load"]
    );
    aws.local.stop().await;
}

#[tokio::test]
async fn catalogues_are_laid_over_each_other_and_their_deployments_left_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let overlay = folder.path().join("overlay.yaml");
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:main-AbCdEf";
    let text = format!("fleet: other\nwarehouses:\n  main:\n    secret: {secret}\n");
    fs::write(&overlay, &text).unwrap();
    let worker = worker(folder.path());
    let pods = aws::start(|options| {
        example_in(options, worker.clone());
        options.catalogues.push(overlay.clone());
    })
    .await;
    let said = called(&pods, 2).await.pop().unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    let files: Vec<&str> = words
        .windows(2)
        .filter(|pair| pair[0] == "--catalogue")
        .map(|pair| pair[1])
        .collect();
    assert_eq!(files.len(), 2, "{said}");
    // In a folder that is closed to others they have a copy, and it goes with the run.
    assert_eq!(fs::read_to_string(files[1]).unwrap(), text);
    pods.local.stop().await;
    let copied = files[1] != overlay.display().to_string();
    assert!(!copied || !Path::new(files[1]).exists(), "{said}");

    let none = aws::start(|options| {
        example_in(options, folder.path().join("not-there"));
        options.catalogues.push(overlay.clone());
        options.deployments = false;
    })
    .await;
    let names = none.local.sfn.snapshot();
    assert!(
        names
            .iter()
            .all(|activity| activity.name.starts_with("other-"))
    );
    assert!(!names.is_empty());
    let get = serde_json::json!({"SecretId": secret});
    let told = none.local.secrets.call("GetSecretValue", get).unwrap();
    assert_eq!(told["ARN"], secret);
    assert_eq!(none.local.cluster.replicas("s3-load"), None);
    assert!(none.local.cluster.pods().is_empty());
}

#[tokio::test]
async fn deployments_run_here_on_an_aws_that_is_elsewhere() {
    const ELSEWHERE: &str = "http://172.17.0.1:4566";
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(folder.path());
    let aws = aws::start(|options| {
        example_in(options, worker.clone());
        // The other one's datapoints are its own affair.
        options.metric_resolution = Duration::from_secs(60);
        options.aws_endpoint = Some(ELSEWHERE.to_owned());
    })
    .await;
    let said = called(&aws, 2).await.pop().unwrap();
    assert!(said.starts_with(&format!("{ELSEWHERE} ")), "{said}");
    let exports = aws.local.exports();
    let told = format!("export AWS_ENDPOINT_URL='{ELSEWHERE}'\n");
    assert!(exports.contains(&told), "{exports}");
    assert!(aws.local.sfn.snapshot().is_empty(), "nothing is made here");
    aws.local.stop().await;
}

#[tokio::test]
async fn urls_begin_with_what_others_reach() {
    let table = [
        ("0.0.0.0:0", None, "http://127.0.0.1:"),
        ("127.0.0.2:0", None, "http://127.0.0.2:"),
        ("[::1]:0", None, "http://[::1]:"),
        (
            "127.0.0.1:0",
            Some("http://172.17.0.1:4566"),
            "http://172.17.0.1:4566/",
        ),
    ];
    for (listen, advertise, begins) in table {
        let aws = aws::start(|options| {
            options.listen = listen.to_owned();
            options.allow_remote = true;
            options.advertise = advertise.map(str::to_owned);
        })
        .await;
        let body = serde_json::json!({"QueueName": "q"});
        let made = aws.local.sqs.call("CreateQueue", body).await.unwrap();
        let url = made["QueueUrl"].as_str().unwrap();
        assert!(url.starts_with(begins), "{listen}: {url}");
        assert!(
            aws.local.exports().contains(begins.trim_end_matches('/')),
            "{listen}"
        );
    }
    let table = [
        "172.17.0.1:4566",
        "https://here:1",
        "http://here/aws",
        "http://here:1/",
    ];
    for wrong in table {
        let folder = tempfile::tempdir().unwrap();
        let mut options = LocalOptions::new(folder.path().to_owned());
        options.advertise = Some(wrong.to_owned());
        let error = Local::start(options).await.err().unwrap();
        assert!(
            error.is_usage() && error.to_string().contains("--advertise"),
            "{error}"
        );
    }
}

/// One thing that is in the way, and what has to be said of it.
struct Case {
    change: Box<dyn FnOnce(&mut LocalOptions)>,
    is_usage: bool,
    said: Vec<String>,
}

fn case(change: impl FnOnce(&mut LocalOptions) + 'static, is_usage: bool, said: &[&str]) -> Case {
    Case {
        change: Box::new(change),
        is_usage,
        said: said.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn places(folder: &Path, taken: &str) -> Vec<Case> {
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("below");
    let said = file.display().to_string();
    let (aws, cluster) = (taken.to_owned(), taken.to_owned());
    vec![
        case(
            |options| options.listen = "nonsense".to_owned(),
            true,
            &["--listen nonsense", "127.0.0.1:4566"],
        ),
        case(
            |options| options.cluster_listen = "127.0.0.1:99999".to_owned(),
            true,
            &["--cluster-listen 127.0.0.1:99999"],
        ),
        case(
            |options| options.listen = "0.0.0.0:0".to_owned(),
            true,
            &["--listen 0.0.0.0:0", "127.0.0.1", "--allow-remote"],
        ),
        case(
            |options| options.cluster_listen = "[::]:0".to_owned(),
            true,
            &["--cluster-listen [::]:0", "--allow-remote"],
        ),
        case(
            |options| options.allowed_hosts = vec!["http://here".to_owned()],
            true,
            &["--allow-host", "http://here", "host.docker.internal"],
        ),
        case(
            |options| options.pod_user = Some("no-such-user".to_owned()),
            true,
            &["--pod-user no-such-user"],
        ),
        case(
            move |options| options.listen = aws,
            false,
            &["--listen", taken, "in use", "give another"],
        ),
        case(
            move |options| options.cluster_listen = cluster,
            false,
            &["--cluster-listen", taken, "in use"],
        ),
        case(
            move |options| options.dir = below,
            false,
            &["--dir", &said, "give a folder of yours"],
        ),
    ]
}

fn catalogues(folder: &Path) -> Vec<Case> {
    let broken = folder.join("broken.yaml");
    let example_text = fs::read_to_string(example()).unwrap();
    let text = example_text.replace("pollers: {min: 1, max: 2}", "pollers: {min: 3, max: 2}");
    assert_ne!(text, example_text, "the example has changed");
    fs::write(&broken, text).unwrap();
    let missing = folder.join("missing.yaml");
    let (program, absent) = (worker(folder), folder.join("no-worker"));
    let said = absent.display().to_string();
    let with = |change: Box<dyn FnOnce(&mut LocalOptions)>| {
        let program = program.clone();
        move |options: &mut LocalOptions| {
            example_in(options, program);
            change(options);
        }
    };
    vec![
        case(
            with(Box::new(move |options| options.catalogues = vec![broken])),
            true,
            &["broken.yaml", "activities.s3-load.worker.pollers"],
        ),
        case(
            with(Box::new(move |options| options.catalogues = vec![missing])),
            true,
            &["missing.yaml"],
        ),
        case(
            with(Box::new(|options| options.allow_short_periods = false)),
            true,
            &["signals.period"],
        ),
        case(
            with(Box::new(|options| {
                options.metric_resolution = Duration::from_secs(60)
            })),
            true,
            &["--metric-resolution 10s"],
        ),
        case(
            with(Box::new(|options| {
                options.region = Some("us-east-1".to_owned())
            })),
            true,
            &["--region", "eu-west-1"],
        ),
        case(
            with(Box::new(|options| {
                options.aws_endpoint = Some("here:4566".to_owned())
            })),
            true,
            &["--aws-endpoint here:4566", "http://172.17.0.1:4566"],
        ),
        case(
            with(Box::new(|options| {
                options.aws_endpoint = Some("http://here:4566".to_owned());
                options.deployments = false;
            })),
            true,
            &["--aws-endpoint", "Deployments"],
        ),
        case(
            with(Box::new(|options| {
                options.aws_endpoint = Some("http://here:4566".to_owned());
                options.warehouse = WarehouseOption::Own;
            })),
            true,
            &["--aws-endpoint", "give --no-warehouse"],
        ),
        case(
            with(Box::new(move |options| options.worker = Some(absent))),
            false,
            &[&said, "cargo build"],
        ),
    ]
}

fn warehouses(folder: &Path, silent: &str) -> Vec<Case> {
    let empty = folder.join("empty");
    fs::create_dir(&empty).unwrap();
    // Port 1 is nobody's, and nobody's to take.
    let gone = "postgres://me:secret@127.0.0.1:1/dev".to_owned();
    let says_nothing = format!("postgres://me:secret@{silent}/dev?connect_timeout=1");
    let wrong = "postgres://me:secret@host:port/dev".to_owned();
    let at = |url| move |options: &mut LocalOptions| options.warehouse = WarehouseOption::At(url);
    vec![
        case(
            move |options| {
                options.warehouse = WarehouseOption::Own;
                options.postgres = Some(vec![empty]);
            },
            false,
            &[
                "sudo apt-get install postgresql",
                "sudo dnf install postgresql-server",
                "brew install postgresql",
            ],
        ),
        case(
            at(gone),
            false,
            &["127.0.0.1:1", "cannot be used", "refused"],
        ),
        case(
            at(says_nothing),
            false,
            &[silent, "does not answer within 1s"],
        ),
        case(
            at(wrong),
            true,
            &["postgres://user:password@host:5432/database"],
        ),
    ]
}

#[tokio::test]
async fn what_is_in_the_way_is_said_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("run");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let mut cases = places(folder.path(), &taken);
    cases.extend(catalogues(folder.path()));
    cases.extend(warehouses(folder.path(), &taken));
    let start = |change: Box<dyn FnOnce(&mut LocalOptions)>| {
        let mut options = LocalOptions::new(dir.clone());
        options.warehouse = WarehouseOption::None;
        change(&mut options);
        Local::start(options)
    };
    for (at, case) in cases.into_iter().enumerate() {
        let error = start(case.change).await.err();
        let error = error.unwrap_or_else(|| panic!("case {at} started: {:?}", case.said));
        let said = error.to_string();
        for part in &case.said {
            assert!(said.contains(part), "case {at}: no {part:?} in: {said}");
        }
        assert_eq!(error.is_usage(), case.is_usage, "case {at}: {said}");
        assert!(!said.contains("secret"), "case {at}: {said}");
    }
    let runs = start(Box::new(|_| {})).await.unwrap();
    let second = start(Box::new(|_| {})).await.err();
    assert!(matches!(second, Some(StartError::InUse(_))), "{second:?}");
    runs.stop().await;
    start(Box::new(|_| {})).await.unwrap().stop().await;
}
