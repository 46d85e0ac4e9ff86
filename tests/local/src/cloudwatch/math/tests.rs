use super::*;
use crate::cloudwatch::store::{Range, Series};

fn series(values: &[Option<f64>]) -> Series {
    let at = |(n, value): (usize, &Option<f64>)| Some((60 * n as i64, (*value)?));
    values.iter().enumerate().filter_map(at).collect()
}

fn evaluated(text: &str, a: &[Option<f64>], b: &[Option<f64>]) -> Value {
    let evaluation = Evaluation {
        range: Range {
            start: 0,
            end: 180,
            period: 60,
        },
        series: [("a", a), ("b", b)]
            .map(|(id, values)| (id.to_owned(), series(values)))
            .into(),
        metrics: [("a", a), ("b", b)]
            .map(|(id, values)| (id.to_owned(), (60, series(values))))
            .into(),
    };
    evaluation.value(&parse(text).unwrap()).unwrap()
}

#[test]
fn expressions_come_to_their_values() {
    let a = [Some(4.0), None, Some(0.0)];
    let b = [Some(2.0), Some(3.0), Some(0.0)];
    let table = [
        ("a + b * 2", [Some(8.0), None, Some(0.0)]),
        ("(a + b) * 2", [Some(12.0), None, Some(0.0)]),
        ("a - b - 1", [Some(1.0), None, Some(-1.0)]),
        ("a / b", [Some(2.0), None, None]),
        ("-a + 1", [Some(-3.0), None, Some(1.0)]),
        ("a > 1 AND b == 2", [Some(1.0), None, Some(0.0)]),
        ("a > 9 OR b >= 0", [Some(1.0), None, Some(1.0)]),
        ("FILL(a, 0) + b", [Some(6.0), Some(3.0), Some(0.0)]),
        ("FILL(a, REPEAT)", [Some(4.0), Some(4.0), Some(0.0)]),
        ("IF(b != 3, b, 7)", [Some(2.0), Some(7.0), Some(0.0)]),
        ("SUM([a, b])", [Some(6.0), Some(3.0), Some(0.0)]),
        ("AVG([a, b])", [Some(3.0), Some(3.0), Some(0.0)]),
        ("MIN([a, b, b * 2])", [Some(2.0), Some(3.0), Some(0.0)]),
        ("MAX(METRICS())", [Some(4.0), Some(3.0), Some(0.0)]),
        ("SUM(METRICS(\"b\"))", [Some(2.0), Some(3.0), Some(0.0)]),
        (
            "SUM(FILL(METRICS(), 1) * 2)",
            [Some(12.0), Some(8.0), Some(0.0)],
        ),
        (
            "SUM(IF(METRICS() > 3, 1, 0))",
            [Some(1.0), Some(0.0), Some(0.0)],
        ),
        ("SUM(-METRICS())", [Some(-6.0), Some(-3.0), Some(0.0)]),
        ("DIFF(b)", [None, Some(1.0), Some(-3.0)]),
        ("DIFF(a)", [None, None, Some(-4.0)]),
        (
            "IF(b > 0, IF(DIFF(b) < 0, 0, 1), 0)",
            [None, Some(1.0), Some(0.0)],
        ),
        // Of one time series one number.
        ("b - MIN(b)", [Some(2.0), Some(3.0), Some(0.0)]),
        ("b / MAX(b)", [Some(2.0 / 3.0), Some(1.0), Some(0.0)]),
        ("b + AVG(a)", [Some(4.0), Some(5.0), Some(2.0)]),
        ("b * SUM(b)", [Some(10.0), Some(15.0), Some(0.0)]),
        ("a / PERIOD(a)", [Some(4.0 / 60.0), None, Some(0.0)]),
    ];
    for (text, wanted) in table {
        assert_eq!(
            evaluated(text, &a, &b),
            Value::Series(series(&wanted)),
            "{text}"
        );
    }
}

#[test]
fn starved_is_scheduled_and_not_started() {
    let text = "IF(FILL(a,0) > 0 AND FILL(b,0) == 0, 1, 0)";
    let table = [
        ([None; 3], [None; 3], [Some(0.0), Some(0.0), Some(0.0)]),
        (
            [Some(2.0), None, Some(1.0)],
            [None; 3],
            [Some(1.0), Some(0.0), Some(1.0)],
        ),
        (
            [Some(2.0), None, Some(1.0)],
            [Some(1.0), None, None],
            [Some(0.0), Some(0.0), Some(1.0)],
        ),
    ];
    for (scheduled, started, wanted) in table {
        let value = evaluated(text, &scheduled, &started);
        assert_eq!(
            value,
            Value::Series(series(&wanted)),
            "{scheduled:?} {started:?}"
        );
    }
}

#[test]
fn what_is_not_here_is_refused_by_name() {
    let table = [
        ("ANOMALY_DETECTION_BAND(a)", "ANOMALY_DETECTION_BAND"),
        ("FILL(a, LINEAR)", "LINEAR"),
        ("a ^ 2", "'^'"),
        ("a +", "ends"),
        ("(a", "the end"),
        ("a b", "\"b\""),
        ("RATE(a)", "RATE"),
        ("SUM(a, b)", "a comma"),
        ("PERIOD(1)", "PERIOD"),
        ("[a", "the end"),
        ("METRICS(\"x)", "a text"),
    ];
    for (text, named) in table {
        let error = parse(text).unwrap_err();
        assert!(error.contains(named), "{text}: {error}");
    }
}

#[test]
fn what_has_no_values_has_no_extreme() {
    let none = [None; 3];
    let table = ["MAX(a)", "b + MAX(a)", "SUM(METRICS())"];
    for text in table {
        let value = evaluated(text, &none, &none);
        assert_eq!(value, Value::Series(Series::new()), "{text}");
    }
    assert_eq!(
        evaluated("MAX(b) + 1", &none, &[Some(2.0); 3]),
        Value::Scalar(3.0)
    );
}
