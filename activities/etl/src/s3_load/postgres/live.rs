//! The way to a real PostgreSQL, with certificates and secrets made here.

mod loads;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use serde_json::json;
use stepfleet_activity::catalogue::{PostgresTls, ReadOptions, parse};
use stepfleet_local::redshift::{Warehouse, WarehouseOptions};
use stepfleet_local::serve::{Local, LocalOptions, WarehouseOption};
use tempfile::TempDir;

use super::tests::input;
use super::*;
use crate::outside::postgres::Blame;
use crate::outside::postgres::tls;
use crate::outside::secrets;

/// A PostgreSQL and a Secrets Manager, both of this test's own.
struct Machine {
    warehouse: Arc<Warehouse>,
    port: u16,
    local: Local,
    /// Of `secret/db`.
    arn: String,
    dir: TempDir,
}

/// A CA that nobody knows, and its certificate in a file.
struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Ca {
    fn new(dir: &Path, (name, file): (&str, &str)) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a CA");
        let file = dir.join(file);
        fs::write(&file, issuer.as_ref().pem()).expect("a file");
        Self { issuer, file }
    }
}

impl Machine {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let options = WarehouseOptions {
            dir: dir.path().join("postgres"),
            url: None,
            programs: None,
        };
        let warehouse = Warehouse::start(&options).await.expect("a PostgreSQL");
        let mut options = LocalOptions::new(dir.path().join("aws"));
        options.warehouse = WarehouseOption::None;
        let local = Local::start(options).await.expect("an AWS");
        let url = warehouse.url().to_owned();
        let port = url.rsplit_once(':').expect("a port").1;
        let port = port.split('/').next().expect("a port").parse();
        let machine = Self {
            port: port.expect("a number"),
            arn: String::new(),
            warehouse,
            local,
            dir,
        };
        machine
            .say("CREATE ROLE loader LOGIN SUPERUSER PASSWORD 'one-hunter2'")
            .await;
        let call = json!({"Name": "secret/db", "SecretString": secret("loader", "one")});
        let made = machine.local.secrets.call("CreateSecret", call);
        let made = made.expect("a secret");
        Self {
            arn: made["ARN"].as_str().expect("an ARN").to_owned(),
            ..machine
        }
    }

    async fn say(&self, sql: &str) {
        let client = self.warehouse.connection().await.expect("a connection");
        client.batch_execute(sql).await.expect(sql);
    }

    fn put(&self, text: &str) {
        let call = json!({"SecretId": self.arn, "SecretString": text});
        let put = self.local.secrets.call("PutSecretValue", call);
        put.expect("the secret is there");
    }

    /// Has the server show a certificate for `name`.
    async fn serve_tls(&self, ca: &Ca, name: &str) {
        let client = self.warehouse.connection().await.expect("a connection");
        let data: String = client
            .query_one("SHOW data_directory", &[])
            .await
            .expect("a folder")
            .get(0);
        let owner = fs::metadata(&data).expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &ca.issuer).expect("a certificate");
        for (file, text) in [
            ("server.crt", certificate.pem()),
            ("server.key", key.serialize_pem()),
        ] {
            let path = Path::new(&data).join(file);
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mine");
            chown(&path, Some(owner.uid()), Some(owner.gid())).expect("the server's");
        }
        self.say("ALTER SYSTEM SET ssl = on").await;
        self.say("SELECT pg_reload_conf()").await;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let on = async {
            let ssl = "SELECT current_setting('ssl')";
            while {
                let client = self.warehouse.connection().await.expect("a connection");
                let row = client.query_one(ssl, &[]).await.expect("a setting");
                row.get::<_, &str>(0) != "on"
            } {
                ticks.tick().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), on).await;
        waited.expect("the server has TLS");
    }

    /// As a worker is told by a catalogue.
    async fn target(&self, host: &str, more: &str) -> Postgres {
        let text = format!(
            "version: 1\nfleet: f\naws: {{account: \"123456789012\", region: eu-west-1}}\n\
             warehouses:\n  w: {{postgres: \"{host}:{}\", database: postgres, secret: \"{}\"{more}}}\n\
             deployments: {{d: {{replicas: {{min: 1, max: 1}}}}}}\n\
             activities: {{a: {{handler: etl.s3-load, deployment: d}}}}\n",
            self.port, self.arn
        );
        let catalogue = parse("f", &text, &ReadOptions::default()).expect("a catalogue");
        let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .endpoint_url(&self.local.context.base_url)
            .test_credentials()
            .load()
            .await;
        let made = Postgres::new(&catalogue.warehouses["w"], &secrets::Client::new(&aws));
        made.expect("a target").expect("a PostgreSQL")
    }

    async fn end(self) {
        self.local.stop().await;
        self.warehouse.stop().await;
    }
}

/// As RDS writes it.
fn secret(user: &str, password: &str) -> String {
    let password = format!("{password}-hunter2");
    json!({"engine": "postgres", "host": "elsewhere", "username": user, "password": password})
        .to_string()
}

/// Who is spoken as, and whether nobody else can read it.
async fn way(target: &Postgres) -> Answer<(String, bool)> {
    let client = target.connect().await?;
    let asked = "SELECT current_user::text, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = client.query_one(asked, &[]).await.expect("a row");
    Ok((row.get(0), row.get(1)))
}

/// One test, so that one server is started for all.
#[tokio::test]
async fn a_server_is_taken_by_its_certificate_and_its_name() {
    let machine = Machine::start().await;
    let ca = |name, file| Ca::new(machine.dir.path(), (name, file));
    let (ours, other) = (ca("ours", "ours.pem"), ca("other", "other.pem"));
    let namesake = ca("ours", "namesake.pem");
    let verify = |ca: &Ca| format!(", tls: verify-full, tls_ca: {}", ca.file.display());

    // A server without TLS is not spoken to in the clear instead.
    for more in [verify(&ours), ", tls: require".to_owned()] {
        let refused = way(&machine.target("localhost", &more).await).await;
        let refused = refused.expect_err("no TLS").to_string();
        assert!(refused.contains("does not support TLS"), "{refused}");
    }

    machine.serve_tls(&ours, "localhost").await;
    for (host, more, want) in [
        ("localhost", verify(&ours), Ok(true)),
        ("127.0.0.1", ", tls: require".to_owned(), Ok(true)),
        ("127.0.0.1", ", tls: disable".to_owned(), Ok(false)),
        ("127.0.0.1", String::new(), Ok(false)),
        ("localhost", verify(&other), Err("UnknownIssuer")),
        ("localhost", verify(&namesake), Err("BadSignature")),
        ("127.0.0.1", verify(&ours), Err("not valid for name")),
    ] {
        let found = way(&machine.target(host, &more).await).await;
        match (found, want) {
            (Ok((_, encrypted)), Ok(want)) => assert_eq!(encrypted, want, "{host}{more}"),
            (Err(error), Err(want)) => {
                assert_eq!(error.class, Class::Permanent, "{error}");
                let error = error.to_string();
                assert!(error.contains(want) && error.contains("tls_ca"), "{error}");
            }
            (found, want) => panic!("{host}{more}: {found:?} and not {want:?}"),
        }
    }

    // A load goes the same way, once.
    let target = machine.target("localhost", &verify(&ours)).await;
    target.set_up().await.expect("a ledger");
    machine.say("CREATE TABLE public.t (a int, b int)").await;
    let file = Object {
        key: "incoming/a.csv".to_owned(),
        etag: "e".to_owned(),
        size: 8,
        modified: jiff::Timestamp::UNIX_EPOCH,
    };
    let batch = Batch::new(&input(&json!({})), vec![file], "2026-01-01".to_owned());
    for want in [FileOutcome::Loaded(2), FileOutcome::Already] {
        let loaded = target.load(&batch, b"1,1\n2,2\n".to_vec()).await;
        assert_eq!(loaded.expect("a load"), want);
    }

    let missing = machine.dir.path().join("none.pem");
    for (file, want) in [
        (missing.as_path(), "No such file"),
        (Path::new("/dev/null"), "no certificate"),
    ] {
        let tls = PostgresTls::VerifyFull {
            ca: Some(file.to_owned()),
        };
        let refused = tls::connector(&tls).err().expect("no CA");
        assert!(
            refused.contains("tls_ca") && refused.contains(want),
            "{refused}"
        );
    }
    machine.end().await;
}

#[tokio::test]
async fn a_rotation_is_survived() {
    let machine = Machine::start().await;
    let target = machine.target("127.0.0.1", "").await;
    let who = async || way(&target).await.map(|(user, _)| user);
    assert_eq!(who().await.expect("one"), "loader");

    // What is known is not read again for every file.
    machine.put(&secret("nobody", "wrong"));
    assert_eq!(who().await.expect("one still"), "loader");

    // The server has the new password before the secret says it, or after.
    machine
        .say("ALTER ROLE loader PASSWORD 'two-hunter2'")
        .await;
    let refused = who().await.expect_err("neither of both");
    assert_eq!(refused.class, Class::Transient, "{refused}");
    assert!(refused.reason.contains("rotation"), "{refused}");
    machine.put(&secret("loader", "two"));
    assert_eq!(who().await.expect("two"), "loader");

    // A rotation between two users.
    machine
        .say("CREATE ROLE loader_b LOGIN SUPERUSER PASSWORD 'three-hunter2'")
        .await;
    machine.put(&secret("loader_b", "three"));
    assert_eq!(who().await.expect("the first is good still"), "loader");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
    assert_eq!(who().await.expect("the second"), "loader_b");

    // Nothing that is said repeats a password.
    assert!(!format!("{target:?}").contains("hunter2"), "{target:?}");
    machine.say("ALTER ROLE loader_b PASSWORD 'four'").await;
    machine.put("{\"username\": \"loader_b\", \"password\": \"four-hunter2");
    let refused = who().await.expect_err("no JSON");
    assert_eq!(refused.class, Class::Permanent, "{refused}");
    let said = format!("{refused} {refused:?}");
    assert!(said.contains("secret/db") && said.contains("RDS"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");

    let delete = json!({"SecretId": machine.arn, "ForceDeleteWithoutRecovery": true});
    let deleted = machine.local.secrets.call("DeleteSecret", delete);
    deleted.expect("the secret was there");
    let gone = machine.target("127.0.0.1", "").await;
    let gone = way(&gone).await.expect_err("no secret");
    assert_eq!(gone.class, Class::Permanent, "{gone}");
    assert!(gone.reason.contains("ResourceNotFound"), "{gone}");
    machine.end().await;
}
