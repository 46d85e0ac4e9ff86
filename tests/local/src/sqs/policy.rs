//! Queue policies: whether a service may send.

use serde_json::{Map, Value};

use crate::AwsError;

/// The service that wants to send, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// Like `sns.amazonaws.com`.
    pub(crate) service: &'a str,
    /// The topic or bucket.
    pub(crate) source_arn: &'a str,
    /// The account that has it.
    pub(crate) source_account: &'a str,
}

/// A policy that was read in full.
#[derive(Debug)]
pub(super) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    allows: bool,
    principal: Principal,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Principal {
    Anyone,
    /// Services by their names; accounts and roles are no services.
    Services(Vec<String>),
}

#[derive(Debug)]
struct Condition {
    operator: Operator,
    negated: bool,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
    Bool,
}

/// Name, what it compares, and whether it turns the outcome round.
const OPERATORS: [(&str, Operator, bool); 11] = [
    ("ArnEquals", Operator::Arn, false),
    ("ArnLike", Operator::Arn, false),
    ("ArnNotEquals", Operator::Arn, true),
    ("ArnNotLike", Operator::Arn, true),
    ("Bool", Operator::Bool, false),
    ("StringEquals", Operator::Equals, false),
    ("StringEqualsIgnoreCase", Operator::EqualsIgnoreCase, false),
    ("StringLike", Operator::Like, false),
    ("StringNotEquals", Operator::Equals, true),
    (
        "StringNotEqualsIgnoreCase",
        Operator::EqualsIgnoreCase,
        true,
    ),
    ("StringNotLike", Operator::Like, true),
];

/// What a service's request has a value for; any other key is a typing error
/// more often than a key that happens to be missing.
const KEYS: [&str; 7] = [
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:securetransport",
    "aws:sourceorgid",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:sourceip",
];

// === impl Policy ===

impl Policy {
    /// Reads a policy; what cannot be evaluated here is refused by name.
    pub(super) fn parse(text: &str) -> Result<Self, AwsError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| invalid(&format!("no JSON: {error}")))?;
        let statements = match &value["Statement"] {
            Value::Array(all) => all.iter().map(Statement::parse).collect::<Result<_, _>>()?,
            one @ Value::Object(_) => vec![Statement::parse(one)?],
            _ => return Err(invalid("it has no Statement")),
        };
        Ok(Self { statements })
    }

    /// An explicit Deny wins; without an Allow nobody may.
    pub(super) fn allows(&self, sender: &Sender<'_>, queue_arn: &str) -> bool {
        let mut all = self
            .statements
            .iter()
            .filter(|one| one.applies(sender, queue_arn))
            .peekable();
        all.peek().is_some() && all.all(|one| one.allows)
    }
}

// === impl Statement ===

impl Statement {
    fn parse(value: &Value) -> Result<Self, AwsError> {
        let members = value
            .as_object()
            .ok_or_else(|| invalid("a Statement is no object"))?;
        const KNOWN: [&str; 6] = [
            "Sid",
            "Effect",
            "Principal",
            "Action",
            "Resource",
            "Condition",
        ];
        if let Some(other) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return Err(invalid(&format!("stepfleet-local has no {other} in it")));
        }
        let allows = match value["Effect"].as_str() {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(invalid("an Effect is Allow or Deny")),
        };
        Ok(Self {
            allows,
            principal: principal(&value["Principal"])?,
            actions: some("Action", &value["Action"])?,
            resources: some("Resource", &value["Resource"])?,
            conditions: match &value["Condition"] {
                Value::Null => Vec::new(),
                Value::Object(all) => conditions(all)?,
                _ => return Err(invalid("a Condition is an object")),
            },
        })
    }

    fn applies(&self, sender: &Sender<'_>, queue_arn: &str) -> bool {
        let principal = match &self.principal {
            Principal::Anyone => true,
            Principal::Services(names) => names.iter().any(|name| name == sender.service),
        };
        let send = |action: &String| glob(&action.to_ascii_lowercase(), "sqs:sendmessage");
        principal
            && self.actions.iter().any(send)
            && self.resources.iter().any(|arn| glob(arn, queue_arn))
            && self.conditions.iter().all(|one| one.holds(sender))
    }
}

fn principal(value: &Value) -> Result<Principal, AwsError> {
    let members = match value {
        Value::String(any) if any == "*" => return Ok(Principal::Anyone),
        Value::Object(members) => members,
        _ => return Err(invalid("a Principal is \"*\" or an object")),
    };
    let mut services = Vec::new();
    for (kind, names) in members {
        let names = some("Principal", names)?;
        match kind.as_str() {
            "AWS" if names.iter().any(|name| name == "*") => return Ok(Principal::Anyone),
            "Service" => services.extend(names),
            "AWS" | "Federated" | "CanonicalUser" => {}
            other => return Err(invalid(&format!("there is no Principal {other}"))),
        }
    }
    Ok(Principal::Services(services))
}

fn conditions(all: &Map<String, Value>) -> Result<Vec<Condition>, AwsError> {
    let mut read = Vec::new();
    for (name, keys) in all {
        let plain = name.strip_suffix("IfExists");
        let wanted = plain.unwrap_or(name);
        let known = OPERATORS.iter().find(|(known, ..)| *known == wanted);
        let Some((_, operator, negated)) = known else {
            return Err(invalid(&format!("stepfleet-local has no condition {name}")));
        };
        let keys = keys
            .as_object()
            .ok_or_else(|| invalid(&format!("the condition {name} is no object")))?;
        for (key, values) in keys {
            let key = key.to_ascii_lowercase();
            if !KEYS.contains(&key.as_str()) {
                return Err(invalid(&format!("stepfleet-local has no key {key}")));
            }
            read.push(Condition {
                operator: *operator,
                negated: *negated,
                if_exists: plain.is_some(),
                values: some(&key, values)?,
                key,
            });
        }
    }
    Ok(read)
}

/// One text, or several.
fn some(name: &str, value: &Value) -> Result<Vec<String>, AwsError> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    let all = match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => text(one).map(|one| vec![one]),
    };
    all.filter(|all: &Vec<String>| !all.is_empty())
        .ok_or_else(|| invalid(&format!("{name} is a text or several")))
}

// === impl Condition ===

impl Condition {
    fn holds(&self, sender: &Sender<'_>) -> bool {
        let value = match self.key.as_str() {
            "aws:sourcearn" => sender.source_arn,
            "aws:sourceaccount" => sender.source_account,
            // Services come over TLS, and from no address or principal.
            "aws:securetransport" => "true",
            _ => return self.if_exists || self.negated,
        };
        let mut wanted = self.values.iter();
        let found = wanted.any(|wanted| match self.operator {
            Operator::Equals => wanted == value,
            Operator::EqualsIgnoreCase | Operator::Bool => wanted.eq_ignore_ascii_case(value),
            Operator::Like => glob(wanted, value),
            Operator::Arn => arn_like(wanted, value),
        });
        found != self.negated
    }
}

/// Part by part: a `*` in one part of an ARN does not reach into the next.
fn arn_like(wanted: &str, value: &str) -> bool {
    let parts = |arn: &'_ str| -> Vec<String> { arn.splitn(6, ':').map(str::to_owned).collect() };
    let (wanted, value) = (parts(wanted), parts(value));
    wanted.len() == value.len()
        && wanted
            .iter()
            .zip(&value)
            .all(|(wanted, value)| glob(wanted, value))
}

/// `*` stands for any text, `?` for one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // The last star, and how much of the text it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(one) if *one == '?' || *one == text[from] => {
                at += 1;
                from += 1;
            }
            _ => match star {
                None => return false,
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    from = taken + 1;
                }
            },
        }
    }
    pattern[at..].iter().all(|one| *one == '*')
}

fn invalid(what: &str) -> AwsError {
    AwsError::new(
        "InvalidAttributeValue",
        format!("Invalid value for the parameter Policy: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:q";

    fn allows(statements: Value) -> bool {
        let sender = Sender {
            service: "sns.amazonaws.com",
            source_arn: "arn:aws:sns:eu-west-1:123456789012:t",
            source_account: "123456789012",
        };
        let policy = json!({"Version": "2012-10-17", "Statement": statements});
        let policy = Policy::parse(&policy.to_string()).unwrap();
        policy.allows(&sender, QUEUE)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut statement = json!({
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": QUEUE,
        });
        statement[name] = value;
        statement
    }

    #[test]
    fn a_statement_applies_where_all_of_it_does() {
        let topic = "arn:aws:sns:eu-west-1:123456789012:t";
        let table = [
            ("Principal", json!("*"), true),
            ("Principal", json!({"AWS": "*"}), true),
            ("Principal", json!({"AWS": "123456789012"}), false),
            (
                "Principal",
                json!({"Service": ["s3.amazonaws.com", "sns.amazonaws.com"]}),
                true,
            ),
            ("Principal", json!({"Service": "s3.amazonaws.com"}), false),
            ("Action", json!("SQS:*"), true),
            (
                "Action",
                json!(["sqs:ReceiveMessage", "SQS:SendMessage"]),
                true,
            ),
            ("Action", json!("sqs:ReceiveMessage"), false),
            ("Resource", json!("*"), true),
            (
                "Resource",
                json!("arn:aws:sqs:eu-west-1:123456789012:q2"),
                false,
            ),
            (
                "Condition",
                json!({"ArnEquals": {"aws:SourceArn": topic}}),
                true,
            ),
            (
                "Condition",
                json!({"ArnLike": {"AWS:SourceArn": "arn:aws:sns:*:123456789012:t*"}}),
                true,
            ),
            (
                "Condition",
                json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*"}}),
                false,
            ),
            (
                "Condition",
                json!({"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:*"}}),
                false,
            ),
            (
                "Condition",
                json!({"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:*:*:*"}}),
                true,
            ),
            (
                "Condition",
                json!({"StringEquals": {"aws:SourceArn": ["x", topic]}}),
                true,
            ),
            (
                "Condition",
                json!({"StringEquals": {"aws:SourceArn": "arn:aws:sns:*"}}),
                false,
            ),
            (
                "Condition",
                json!({"StringLike": {"aws:SourceArn": "arn:aws:sns:*"}}),
                true,
            ),
            (
                "Condition",
                json!({"StringEquals": {"aws:SourceAccount": "123456789012"}}),
                true,
            ),
            (
                "Condition",
                json!({"StringEquals": {"aws:SourceAccount": "210987654321"}}),
                false,
            ),
            (
                "Condition",
                json!({"StringNotEquals": {"aws:SourceAccount": "123456789012"}}),
                false,
            ),
            (
                "Condition",
                json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
                false,
            ),
            (
                "Condition",
                json!({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}),
                true,
            ),
            (
                "Condition",
                json!({"Bool": {"aws:SecureTransport": false}}),
                false,
            ),
            (
                "Condition",
                json!({
                    "ArnEquals": {"aws:SourceArn": topic},
                    "StringEquals": {"aws:SourceAccount": "210987654321"},
                }),
                false,
            ),
        ];
        for (name, value, wanted) in table {
            let statement = with(name, value.clone());
            assert_eq!(allows(statement), wanted, "{name}: {value}");
        }
    }

    #[test]
    fn a_deny_wins_and_nothing_is_not_enough() {
        let deny = with("Effect", json!("Deny"));
        let allow = with("Effect", json!("Allow"));
        assert!(!allows(json!([])));
        assert!(allows(json!([allow])));
        assert!(!allows(json!([allow, deny])));
        assert!(!allows(json!([deny])));
        let mut plain = deny;
        plain["Condition"] = json!({"Bool": {"aws:SecureTransport": "false"}});
        assert!(allows(json!([plain, allow])));
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused_by_name() {
        let table = [
            (json!("no"), "no Statement"),
            (json!({"Statement": []}), ""),
            (
                json!({"Statement": with("NotAction", json!("x"))}),
                "NotAction",
            ),
            (
                json!({"Statement": with("Effect", json!("Maybe"))}),
                "Effect",
            ),
            (json!({"Statement": with("Action", json!([]))}), "Action"),
            (
                json!({"Statement": with("Principal", json!(null))}),
                "Principal",
            ),
            (
                json!({"Statement": with("Condition", json!({"IpAddress": {"aws:SourceIp": "::"}}))}),
                "IpAddress",
            ),
            (
                json!({"Statement": with("Condition", json!({"ArnEquals": {"aws:SourceAnr": "x"}}))}),
                "aws:sourceanr",
            ),
        ];
        for (policy, named) in table {
            match Policy::parse(&policy.to_string()) {
                Ok(_) => assert_eq!(named, "", "{policy}"),
                Err(error) => {
                    assert!(
                        !named.is_empty() && error.message.contains(named),
                        "{error}"
                    );
                }
            }
        }
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, wanted) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*b*b", "abab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "ab", false),
        ] {
            assert_eq!(glob(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
