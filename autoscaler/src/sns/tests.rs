//! Envelopes as SNS signs them, and as others would. The certificate, the two
//! envelopes and their signatures were made with openssl; the key is gone.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, SigningKey as _};

use serde_json::{Value, json};

use super::*;

const VERSION_1: &str = include_str!("testdata/version-1.json");
const VERSION_2: &str = include_str!("testdata/version-2.json");
const CERTIFICATE: &str = include_str!("testdata/certificate.pem");
const OTHER: &str = include_str!("testdata/other.pem");
const URL: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";

/// Certificates from a table; what is not in it cannot be fetched.
#[derive(Default)]
pub(crate) struct Table {
    certificates: Mutex<BTreeMap<String, String>>,
    asked: Mutex<Vec<String>>,
    /// Certificates that nobody ever answers for.
    silent: Mutex<bool>,
}

impl Table {
    /// SNS as it should be.
    fn good() -> Arc<Self> {
        let table = Self::default();
        table.heal();
        Arc::new(table)
    }

    /// What is not there is not refused either: nobody answers.
    pub(crate) fn silence(&self) {
        *self.silent.lock().expect("a lock") = true;
    }

    /// The certificate is there from now on.
    pub(crate) fn heal(&self) {
        self.put(URL, CERTIFICATE);
    }

    pub(crate) fn put(&self, url: &str, certificate: &str) {
        let mut certificates = self.certificates.lock().expect("a lock");
        certificates.insert(url.to_owned(), certificate.to_owned());
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().expect("a lock").len()
    }
}

impl Fetch for Table {
    async fn fetch(&self, url: &str) -> Result<CertificateDer<'static>, String> {
        self.asked.lock().expect("a lock").push(url.to_owned());
        let pem = (self.certificates.lock().expect("a lock").get(url)).cloned();
        let silent = *self.silent.lock().expect("a lock");
        if pem.is_none() && silent {
            let end = Instant::now() + Duration::from_secs(5);
            tokio::time::sleep_until(end).await;
        }
        fetch::read(pem.ok_or("404")?.as_bytes()).ok_or_else(|| "none".to_owned())
    }
}

/// The alarm `demo-s3-load-out` at 2026-01-01T12:00:01Z, signed by the
/// certificate of [`Table::good`].
pub(crate) fn genuine(receipt: &str) -> Message {
    message(receipt, VERSION_2)
}

fn message(receipt: &str, body: &str) -> Message {
    Message {
        body: body.to_owned(),
        receipt: receipt.to_owned(),
    }
}

/// Who signs as SNS does.
pub(crate) struct Signer {
    key: KeyPair,
    pub(crate) certificate: String,
}

impl Signer {
    /// Where its certificate is.
    pub(crate) const URL: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-ffffffffffffffffffffffffffffffff.pem";

    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]);
        let certificate = params.expect("names").self_signed(&key);
        let certificate = certificate.expect("a certificate").pem();
        Self { key, certificate }
    }

    /// An envelope, signed by this key and with the certificate at that place.
    pub(crate) fn envelope(&self, message: &str, url: &str) -> Value {
        let topic = "arn:aws:sns:eu-west-1:123456789012:demo-signals";
        let time = "2026-01-01T12:00:00.000Z";
        let text = format!(
            "Message\n{message}\nMessageId\nm\nTimestamp\n{time}\nTopicArn\n{topic}\nType\nNotification\n"
        );
        let signature = self.key.sign(text.as_bytes()).expect("a signature");
        json!({"Type": "Notification", "MessageId": "m", "TopicArn": topic, "Message": message,
            "Timestamp": time, "SignatureVersion": "2", "Signature": STANDARD.encode(signature),
            "SigningCertURL": url})
    }
}

fn verifier(table: &Arc<Table>) -> Verifier<Table> {
    Verifier::new(Arc::clone(table), ("eu-west-1", None), true)
}

async fn seal(verifier: &mut Verifier<Table>, body: &str) -> Seal {
    let sealed = verifier.seal(vec![message("r", body)]).await;
    sealed[0].seal.clone()
}

fn changed(envelope: &str, field: &str, value: Value) -> String {
    let mut envelope: Value = serde_json::from_str(envelope).expect("JSON");
    if value.is_null() {
        envelope.as_object_mut().expect("an object").remove(field);
    } else {
        envelope[field] = value;
    }
    envelope.to_string()
}

#[tokio::test]
async fn both_versions_are_verified_and_the_certificate_is_fetched_once() {
    let table = Table::good();
    let mut verifier = verifier(&table);
    for envelope in [VERSION_1, VERSION_2, VERSION_1] {
        assert_eq!(seal(&mut verifier, envelope).await, Seal::Genuine);
    }
    assert_eq!(table.asked(), 1);
}

#[tokio::test]
async fn whatever_is_not_as_it_was_signed_is_forged() {
    let table = Table::good();
    let elsewhere = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem";
    table.put(elsewhere, OTHER);
    let mut verifier = verifier(&table);
    let other = json!("arn:aws:sns:eu-west-1:123456789012:other");
    let signature = serde_json::from_str::<Value>(VERSION_1).expect("JSON")["Signature"].clone();
    let cases = [
        ("Message", json!("{}")),
        ("MessageId", json!("m")),
        ("MessageId", Value::Null),
        ("Subject", json!("another")),
        ("Subject", Value::Null),
        ("Timestamp", json!("2026-01-01T12:00:02.123Z")),
        ("TopicArn", other),
        ("Type", json!("SubscriptionConfirmation")),
        ("Type", Value::Null),
        ("SignatureVersion", json!("1")),
        ("SignatureVersion", json!("3")),
        ("SignatureVersion", json!(2)),
        ("SignatureVersion", Value::Null),
        ("Signature", signature),
        ("Signature", json!("AAAA")),
        ("Signature", json!("not base64!")),
        ("Signature", Value::Null),
        ("SigningCertURL", json!(elsewhere)),
        (
            "SigningCertURL",
            json!("https://evil.example/SimpleNotificationService-1.pem"),
        ),
        ("SigningCertURL", json!("no URL at all")),
        ("SigningCertURL", Value::Null),
    ];
    for (field, value) in cases {
        let envelope = changed(VERSION_2, field, value.clone());
        let sealed = seal(&mut verifier, &envelope).await;
        assert_eq!(sealed, Seal::Forged, "{field}: {value}");
    }
    let with_subject = changed(VERSION_1, "Subject", json!("s"));
    assert_eq!(seal(&mut verifier, &with_subject).await, Seal::Forged);
    // What nobody signed may change.
    let unsubscribe = changed(VERSION_2, "UnsubscribeURL", json!("x"));
    assert_eq!(seal(&mut verifier, &unsubscribe).await, Seal::Genuine);
}

#[tokio::test]
async fn what_has_no_envelope_has_no_signature_and_nobody_asks_where_none_is_required() {
    let table = Arc::new(Table::default());
    let mut strict = verifier(&table);
    let event = json!({"detail-type": "CloudWatch Alarm State Change", "detail": {}}).to_string();
    for body in ["{}", "no JSON", &event] {
        assert_eq!(seal(&mut strict, body).await, Seal::Open, "{body}");
    }
    let mut lax = Verifier::new(Arc::clone(&table), ("eu-west-1", None), false);
    let forged = changed(VERSION_2, "Message", json!("{}"));
    assert_eq!(seal(&mut lax, &forged).await, Seal::Open);
    assert_eq!(table.asked(), 0);
}

#[test]
fn certificates_come_from_sns_of_the_region_or_from_the_configured_endpoint() {
    let aws = Origin::new("eu-west-1", None);
    let local = Origin::new("eu-west-1", Some("http://127.0.0.1:4566/"));
    let path = "/SimpleNotificationService-1.pem";
    let ours = format!("https://sns.eu-west-1.amazonaws.com{path}");
    let at_home = format!("http://127.0.0.1:4566{path}");
    let cases = [
        (&aws, ours.clone(), Some(ours.clone())),
        (
            &aws,
            format!("https://SNS.eu-west-1.amazonaws.com{path}"),
            Some(ours.clone()),
        ),
        (
            &aws,
            format!("http://sns.eu-west-1.amazonaws.com{path}"),
            None,
        ),
        (
            &aws,
            format!("https://sns.us-east-1.amazonaws.com{path}"),
            None,
        ),
        (
            &aws,
            format!("https://sns.eu-west-1.amazonaws.com.evil.example{path}"),
            None,
        ),
        (
            &aws,
            format!("https://evil.example/sns.eu-west-1.amazonaws.com{path}"),
            None,
        ),
        (
            &aws,
            format!("https://sns.eu-west-1.amazonaws.com@evil.example{path}"),
            None,
        ),
        (
            &aws,
            format!("https://me@sns.eu-west-1.amazonaws.com{path}"),
            None,
        ),
        (
            &aws,
            format!("https://sns.eu-west-1.amazonaws.com:444{path}"),
            None,
        ),
        (&aws, format!("{ours}?Action=x"), None),
        (
            &aws,
            "https://sns.eu-west-1.amazonaws.com/mine.pem".to_owned(),
            None,
        ),
        (
            &aws,
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1".to_owned(),
            None,
        ),
        (&aws, path.to_owned(), None),
        (&aws, at_home.clone(), None),
        (&local, at_home.clone(), Some(at_home.clone())),
        (
            &local,
            format!("http://localstack:4566{path}"),
            Some(at_home.clone()),
        ),
        (
            &local,
            "http://127.0.0.1:4566/_stepfleet/sns.pem".to_owned(),
            Some("http://127.0.0.1:4566/_stepfleet/sns.pem".to_owned()),
        ),
        (&local, "http://127.0.0.1:4566/sns.txt".to_owned(), None),
        // An object of somebody's bucket, on the port that all services share.
        (
            &local,
            "http://127.0.0.1:4566/bucket/SimpleNotificationService-1.pem".to_owned(),
            None,
        ),
        (
            &local,
            "http://127.0.0.1:4566//SimpleNotificationService-1.pem".to_owned(),
            None,
        ),
    ];
    for (origin, named, want) in cases {
        let got = named.parse().ok().and_then(|uri| origin.locate(&uri));
        assert_eq!(got, want, "{named}");
    }
    let china = Origin::new("cn-north-1", None);
    let named = format!("https://sns.cn-north-1.amazonaws.com.cn{path}");
    assert_eq!(china.locate(&named.parse().expect("a URL")), Some(named));
}

/// An envelope whose certificate somebody made up.
fn made_up(index: usize) -> String {
    let url = format!("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{index}.pem");
    changed(VERSION_1, "SigningCertURL", json!(url))
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_failed_is_tried_again_after_a_while_and_others_are_not_held_up() {
    let table = Arc::new(Table::default());
    let mut verifier = verifier(&table);
    for _ in 0..3 {
        assert_eq!(seal(&mut verifier, VERSION_1).await, Seal::Unknown);
    }
    assert_eq!(table.asked(), 1);
    let complaints = verifier.complaints();
    let [why] = complaints.as_slice() else {
        panic!("one: {complaints:?}");
    };
    assert!(why.contains(URL) && why.contains("404"), "{why}");
    assert!(verifier.complaints().is_empty(), "said once");
    table.put(URL, "no certificate");
    tokio::time::advance(FORGOTTEN).await;
    assert_eq!(seal(&mut verifier, VERSION_1).await, Seal::Unknown);
    table.put(URL, CERTIFICATE);
    assert_eq!(seal(&mut verifier, VERSION_1).await, Seal::Unknown);
    tokio::time::advance(FORGOTTEN).await;
    assert_eq!(seal(&mut verifier, VERSION_1).await, Seal::Genuine);
    assert_eq!(table.asked(), 3);

    // One receive: of many names a few are fetched, and what is known is known.
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut messages: Vec<Message> = (0..9).map(|i| message("r", &made_up(i))).collect();
    messages.push(message("r", VERSION_1));
    let sealed = verifier.seal(messages).await;
    assert_eq!(sealed[9].seal, Seal::Genuine);
    assert!(
        sealed[..9]
            .iter()
            .all(|sealed| sealed.seal == Seal::Unknown)
    );
    assert_eq!(table.asked(), 3 + AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn certificates_that_somebody_made_up_are_bounded_in_number_and_in_time() {
    let table = Table::good();
    table.silence();
    let mut verifier = verifier(&table);
    let begun = Instant::now();
    for index in 0..1000 {
        assert_eq!(seal(&mut verifier, &made_up(index)).await, Seal::Unknown);
    }
    // Four wait for an answer, and nobody waits for these.
    assert_eq!(table.asked(), AT_ONCE);
    assert_eq!(begun.elapsed(), GRACE * 4);
    for index in 0..10_000 {
        tokio::time::advance(Duration::from_millis(100)).await;
        let sealed = seal(&mut verifier, &made_up(index)).await;
        assert_eq!(sealed, Seal::Unknown);
    }
    let kept = (verifier.failed.len(), verifier.complaints.len());
    assert!(kept.0 <= FAILED + AT_ONCE, "{kept:?}");
    let minutes = usize::try_from(begun.elapsed().as_secs() / 60).expect("few") + 1;
    let most = minutes * (FAILED + AT_ONCE) * 60 / 50;
    assert!(table.asked() <= most, "{} of {most}", table.asked());
    let endless = format!(
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{}.pem",
        "x".repeat(300)
    );
    let endless = changed(VERSION_1, "SigningCertURL", json!(endless));
    assert_eq!(seal(&mut verifier, &endless).await, Seal::Forged);
}

#[tokio::test(start_paused = true)]
async fn failures_are_remembered_for_a_while_and_only_so_many() {
    let table = Arc::new(Table::default());
    let mut verifier = verifier(&table);
    // Refused at once: four a second would be 200 before the first is forgotten.
    for index in 0..1000 {
        tokio::time::advance(Duration::from_millis(100)).await;
        let sealed = seal(&mut verifier, &made_up(index)).await;
        assert_eq!(sealed, Seal::Unknown);
        assert!(verifier.failed.len() <= FAILED + AT_ONCE, "{index}");
    }
    // In 100 s, twice as many as are remembered for 50 s.
    assert!(table.asked() <= 2 * (FAILED + AT_ONCE), "{}", table.asked());
    tokio::time::advance(FORGOTTEN).await;
    table.heal();
    assert_eq!(seal(&mut verifier, VERSION_1).await, Seal::Genuine);
}

/// As a server does that answers whatever it is asked for.
struct Everything {
    asked: Mutex<Vec<Instant>>,
}

impl Fetch for Everything {
    async fn fetch(&self, _: &str) -> Result<CertificateDer<'static>, String> {
        self.asked.lock().expect("a lock").push(Instant::now());
        fetch::read(CERTIFICATE.as_bytes()).ok_or_else(|| "none".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn fetches_are_few_in_a_second_and_what_is_kept_is_what_is_of_use() {
    let all = Everything {
        asked: Mutex::default(),
    };
    let all = Arc::new(all);
    let mut verifier = Verifier::new(Arc::clone(&all), ("eu-west-1", None), true);
    assert_eq!(
        verifier.seal(vec![message("r", VERSION_1)]).await[0].seal,
        Seal::Genuine
    );
    for index in 0..400 {
        tokio::time::advance(Duration::from_millis(50)).await;
        // Signed by nobody's key, with certificates that are all there.
        verifier.seal(vec![message("r", &made_up(index))]).await;
        // And SNS speaks now and then.
        if index % 20 == 0 {
            let sealed = verifier.seal(vec![message("r", VERSION_1)]).await;
            assert_eq!(sealed[0].seal, Seal::Genuine, "{index}");
        }
    }
    assert_eq!(verifier.certificates.len(), KEPT);
    assert!(verifier.certificates.contains_key(URL));
    assert!(verifier.begun.len() <= A_SECOND);
    let asked = all.asked.lock().expect("a lock").clone();
    for (index, first) in asked.iter().enumerate() {
        let within = asked[index..]
            .iter()
            .filter(|other| **other - *first < Duration::from_secs(1));
        assert!(within.count() <= A_SECOND);
    }
    assert!(asked.len() > KEPT * 2, "{}", asked.len());
}

#[tokio::test]
async fn certificates_are_fetched_over_http() {
    let large = "x".repeat(65 * 1024);
    let router = axum::Router::new()
        .route("/good.pem", axum::routing::get(CERTIFICATE))
        .route("/large.pem", axum::routing::get(large))
        .route("/text.pem", axum::routing::get("no certificate"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let aws = crate::fake_aws::FakeAws::start(Vec::new()).await;
    let http = Http::new(&aws.config);
    let get = |path: &str| {
        let url = format!("http://{address}{path}");
        let http = &http;
        async move { http.fetch(&url).await }
    };
    let want = fetch::read(CERTIFICATE.as_bytes()).expect("a certificate");
    assert_eq!(get("/good.pem").await, Ok(want));
    for (path, why) in [
        ("/none.pem", "404"),
        ("/large.pem", "larger"),
        ("/text.pem", "no certificate"),
    ] {
        let error = get(path).await.expect_err(path);
        assert!(error.contains(why), "{path}: {error}");
    }
    let nobody = Http::new(&aws.config)
        .fetch("http://127.0.0.1:1/x.pem")
        .await;
    assert!(nobody.is_err(), "{nobody:?}");
}
