use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use stepfleet_activity::VirtualClock;

use super::*;

const TOKENS: [&str; 3] = [
    "11111111-1111-1111-1111-111111111111",
    "22222222-2222-2222-2222-222222222222",
    "33333333-3333-3333-3333-333333333333",
];

fn secrets() -> (Secrets, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::new(Timestamp::UNIX_EPOCH));
    let context = Context {
        clock: Arc::clone(&clock) as _,
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        base_url: "http://here".to_owned(),
        dir: std::path::PathBuf::new(),
        metric_resolution: Duration::from_secs(60),
        metric_delay: Duration::ZERO,
        timers: crate::timers::Timers::default(),
    };
    (Secrets::new(context), clock)
}

fn create(secrets: &Secrets, token: &str, value: &str) -> Result<Value, AwsError> {
    let input = json!({"Name": "a/b", "ClientRequestToken": token, "SecretString": value});
    secrets.call("CreateSecret", input)
}

fn put(secrets: &Secrets, token: &str, value: &str) -> Result<Value, AwsError> {
    let input = json!({"SecretId": "a/b", "ClientRequestToken": token, "SecretString": value});
    secrets.call("PutSecretValue", input)
}

fn get(secrets: &Secrets, input: Value) -> Result<String, AwsError> {
    let output = secrets.call("GetSecretValue", input)?;
    Ok(output["SecretString"].as_str().unwrap().to_owned())
}

#[test]
fn a_secret_is_found_by_its_names() {
    let (secrets, _) = secrets();
    let made = create(&secrets, TOKENS[0], "x").unwrap();
    let arn = made["ARN"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:secretsmanager:eu-west-1:123456789012:secret:a/b-"));
    assert_eq!(made["VersionId"], TOKENS[0]);
    for id in ["a/b", arn, &arn[..arn.len() - 7]] {
        assert_eq!(get(&secrets, json!({"SecretId": id})).unwrap(), "x", "{id}");
    }
    for id in ["a", "a/b-", &arn[..arn.len() - 1]] {
        let missing = get(&secrets, json!({"SecretId": id})).unwrap_err();
        assert_eq!(missing.code, "ResourceNotFoundException", "{id}");
    }
}

#[test]
fn a_call_again_changes_nothing_and_another_is_refused() {
    let (secrets, _) = secrets();
    let first = create(&secrets, TOKENS[0], "x").unwrap();
    assert_eq!(create(&secrets, TOKENS[0], "x").unwrap(), first);
    for (token, value) in [(TOKENS[0], "y"), (TOKENS[1], "x")] {
        let refused = create(&secrets, token, value).unwrap_err();
        assert_eq!(refused.code, "ResourceExistsException");
    }
    let second = put(&secrets, TOKENS[1], "y").unwrap();
    assert_eq!(second["VersionStages"], json!(["AWSCURRENT"]));
    assert_eq!(put(&secrets, TOKENS[1], "y").unwrap(), second);
    let refused = put(&secrets, TOKENS[1], "z").unwrap_err();
    assert_eq!(refused.code, "ResourceExistsException");
    // The first call again, late: its version is not the current one any more.
    put(&secrets, TOKENS[0], "x").unwrap();
    assert_eq!(get(&secrets, json!({"SecretId": "a/b"})).unwrap(), "y");
    let short = put(&secrets, "short", "z").unwrap_err();
    assert_eq!(short.code, "InvalidParameterException");
}

#[test]
fn labels_move_from_version_to_version() {
    let (secrets, _) = secrets();
    create(&secrets, TOKENS[0], "1").unwrap();
    put(&secrets, TOKENS[1], "2").unwrap();
    let pending = json!({
        "SecretId": "a/b", "ClientRequestToken": TOKENS[2], "SecretString": "3",
        "VersionStages": ["AWSPENDING"],
    });
    secrets.call("PutSecretValue", pending).unwrap();
    let described = secrets
        .call("DescribeSecret", json!({"SecretId": "a/b"}))
        .unwrap();
    let wanted = json!({
        TOKENS[0]: ["AWSPREVIOUS"], TOKENS[1]: ["AWSCURRENT"], TOKENS[2]: ["AWSPENDING"],
    });
    assert_eq!(described["VersionIdsToStages"], wanted);
    let table = [
        (json!({}), Ok("2")),
        (json!({"VersionStage": "AWSCURRENT"}), Ok("2")),
        (json!({"VersionStage": "AWSPREVIOUS"}), Ok("1")),
        (json!({"VersionStage": "AWSPENDING"}), Ok("3")),
        (json!({"VersionId": TOKENS[0]}), Ok("1")),
        (
            json!({"VersionId": TOKENS[0], "VersionStage": "AWSPREVIOUS"}),
            Ok("1"),
        ),
        (
            json!({"VersionId": TOKENS[0], "VersionStage": "AWSCURRENT"}),
            Err("InvalidRequestException"),
        ),
        (
            json!({"VersionStage": "mine"}),
            Err("ResourceNotFoundException"),
        ),
        (
            json!({"VersionId": "none"}),
            Err("ResourceNotFoundException"),
        ),
    ];
    for (mut input, wanted) in table {
        input["SecretId"] = "a/b".into();
        let told = get(&secrets, input.clone());
        let told = told.as_deref().map_err(|error| error.code);
        assert_eq!(told, wanted, "{input}");
    }
}

#[test]
fn what_is_deleted_can_be_restored_for_a_time() {
    let (secrets, clock) = secrets();
    create(&secrets, TOKENS[0], "x").unwrap();
    let delete = |more: Value| {
        let mut input = json!({"SecretId": "a/b"});
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        secrets.call("DeleteSecret", input)
    };
    for wrong in [
        json!({"RecoveryWindowInDays": 6}),
        json!({"RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": true}),
    ] {
        assert_eq!(delete(wrong).unwrap_err().code, "InvalidParameterException");
    }
    let deleted = delete(json!({"RecoveryWindowInDays": 7})).unwrap();
    assert_eq!(deleted["DeletionDate"], json!(604_800.0));
    let marked = get(&secrets, json!({"SecretId": "a/b"})).unwrap_err();
    assert_eq!(marked.code, "InvalidRequestException");
    let again = create(&secrets, TOKENS[0], "x").unwrap_err();
    assert_eq!(again.code, "InvalidRequestException");
    let listed = |all: bool| {
        let list = json!({"IncludePlannedDeletion": all});
        let list = secrets.call("ListSecrets", list).unwrap();
        list["SecretList"].as_array().unwrap().len()
    };
    assert_eq!((listed(false), listed(true)), (0, 1));
    secrets
        .call("RestoreSecret", json!({"SecretId": "a/b"}))
        .unwrap();
    assert_eq!(get(&secrets, json!({"SecretId": "a/b"})).unwrap(), "x");
    delete(json!({"RecoveryWindowInDays": 7})).unwrap();
    clock.advance(jiff::SignedDuration::from_secs(604_800));
    let gone = secrets.call("RestoreSecret", json!({"SecretId": "a/b"}));
    assert_eq!(gone.unwrap_err().code, "ResourceNotFoundException");
    create(&secrets, TOKENS[1], "y").unwrap();
    delete(json!({"ForceDeleteWithoutRecovery": true})).unwrap();
    delete(json!({"ForceDeleteWithoutRecovery": true})).unwrap();
    assert_eq!(listed(true), 0);
}

#[test]
fn what_is_no_secret_is_refused() {
    let (secrets, _) = secrets();
    let table = [
        (json!({"Name": "a b"}), "InvalidParameterException"),
        (json!({"Name": ""}), "InvalidParameterException"),
        (
            json!({"Name": "a", "SecretString": ""}),
            "InvalidParameterException",
        ),
        (
            json!({"Name": "a", "SecretString": "x".repeat(65_537)}),
            "InvalidParameterException",
        ),
        (
            json!({"Name": "a", "SecretBinary": "?"}),
            "InvalidParameterException",
        ),
        (
            json!({"Name": "a", "SecretString": "x", "SecretBinary": "AA=="}),
            "InvalidParameterException",
        ),
        (json!({"Name": "a", "KmsKeyId": "k"}), "ValidationException"),
    ];
    for (input, wanted) in table {
        let refused = secrets.call("CreateSecret", input.clone()).unwrap_err();
        assert_eq!(refused.code, wanted, "{input}");
    }
    let bytes = json!({"Name": "bytes", "SecretBinary": "AAE="});
    secrets.call("CreateSecret", bytes).unwrap();
    let told = secrets
        .call("GetSecretValue", json!({"SecretId": "bytes"}))
        .unwrap();
    assert_eq!(told["SecretBinary"], "AAE=");
    // Without a value there is a secret, and nothing to tell.
    secrets
        .call("CreateSecret", json!({"Name": "empty"}))
        .unwrap();
    let empty = get(&secrets, json!({"SecretId": "empty"})).unwrap_err();
    assert_eq!(empty.code, "ResourceNotFoundException");
    let put = json!({"SecretId": "empty"});
    let refused = secrets.call("PutSecretValue", put).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
    let rotate = secrets.call("RotateSecret", json!({})).unwrap_err();
    assert!(rotate.message.contains("RotateSecret"));
}

#[test]
fn secrets_are_listed_in_pages_and_provided_by_arn() {
    let (secrets, _) = secrets();
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:warehouse/main-AbCdEf";
    secrets.provide(arn, "first").unwrap();
    secrets.provide(arn, "second").unwrap();
    assert_eq!(get(&secrets, json!({"SecretId": arn})).unwrap(), "first");
    let plain = "arn:aws:secretsmanager:us-east-1:210987654321:secret:no-end";
    secrets.provide(plain, "x").unwrap();
    assert_eq!(get(&secrets, json!({"SecretId": plain})).unwrap(), "x");
    assert!(secrets.provide("arn:aws:secretsmanager", "x").is_err());
    for name in ["a", "b"] {
        let input = json!({"Name": name, "SecretString": "x"});
        secrets.call("CreateSecret", input).unwrap();
    }
    let mut input = json!({"MaxResults": 2});
    let mut names = Vec::new();
    loop {
        let page = secrets.call("ListSecrets", input.clone()).unwrap();
        let found = page["SecretList"].as_array().unwrap();
        names.extend(
            found
                .iter()
                .map(|one| one["Name"].as_str().unwrap().to_owned()),
        );
        match page.get("NextToken") {
            Some(token) => input["NextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "no-end", "warehouse/main"]);
}
