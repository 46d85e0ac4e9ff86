//! Line charts as SVG. Colours come from the page's style sheet by class.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;

/// More points than this are thinned: the maximum of each group is kept, so that no peak is lost.
const POINTS: usize = 360;

/// One line of a chart.
pub(super) struct Line<'a> {
    /// The style's class.
    pub(super) class: &'a str,
    /// What it is, for the legend.
    pub(super) name: &'a str,
    /// Whether it holds its value until the next (a count that is set), or moves on.
    pub(super) stepped: bool,
    /// Whether the space below is filled.
    pub(super) filled: bool,
    /// A value for each point of time.
    pub(super) values: Vec<f64>,
}

/// A chart over `times`, in seconds from the start; `unit` goes with the axis.
pub(super) fn chart(title: &str, unit: &str, times: &[f64], lines: &[Line<'_>]) -> String {
    let peak = lines
        .iter()
        .flat_map(|line| &line.values)
        .copied()
        .fold(0.0, f64::max);
    let top = nice(peak);
    let (first, last) = (
        times.first().copied().unwrap_or(0.0),
        times.last().copied().unwrap_or(0.0),
    );
    let span = (last - first).max(1.0);
    let x = |time: f64| LEFT + (time - first) / span * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}, at most {peak:.1} {unit}">"#
    );
    for tick in 0..=4 {
        let value = top * f64::from(tick) / 4.0;
        let at = y(value);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/>"#,
            WIDTH - RIGHT
        );
        let _ = write!(
            svg,
            r#"<text class="tick" x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
    }
    for tick in 0..=4 {
        let ago = span * f64::from(4 - tick) / 4.0;
        let label = if tick == 4 {
            "now".to_owned()
        } else {
            format!("−{}", duration(ago))
        };
        let anchor = match tick {
            0 => "start",
            4 => "end",
            _ => "middle",
        };
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{}" text-anchor="{anchor}">{label}</text>"#,
            x(last - ago),
            HEIGHT - 8.0
        );
    }
    for line in lines {
        let points = thin(times, &line.values);
        svg.push_str(&path(line, &points, (x, y)));
    }
    svg.push_str("</svg>");
    svg
}

fn path(
    line: &Line<'_>,
    points: &[(f64, f64)],
    (x, y): (impl Fn(f64) -> f64, impl Fn(f64) -> f64),
) -> String {
    let Some(&(start, _)) = points.first() else {
        return String::new();
    };
    let mut d = String::new();
    let mut end = start;
    for (index, &(time, value)) in points.iter().enumerate() {
        let (px, py) = (x(time), y(value));
        match (index, line.stepped) {
            (0, _) => {
                let _ = write!(d, "M{px:.1},{py:.1}");
            }
            (_, true) => {
                let _ = write!(d, "H{px:.1}V{py:.1}");
            }
            (_, false) => {
                let _ = write!(d, "L{px:.1},{py:.1}");
            }
        }
        end = time;
    }
    let mut out = String::new();
    if line.filled {
        let _ = write!(
            out,
            r#"<path class="area {}" d="{d}L{:.1},{:.1}L{:.1},{:.1}Z"/>"#,
            line.class,
            x(end),
            y(0.0),
            x(start),
            y(0.0)
        );
    }
    let _ = write!(
        out,
        r#"<path class="line {}" d="{d}"><title>{}</title></path>"#,
        line.class, line.name
    );
    out
}

/// At most [`POINTS`] points, each the largest of its group.
fn thin(times: &[f64], values: &[f64]) -> Vec<(f64, f64)> {
    let size = values.len().div_ceil(POINTS).max(1);
    times
        .chunks(size)
        .zip(values.chunks(size))
        .filter_map(|(times, values)| {
            Some((
                *times.last()?,
                values.iter().copied().fold(f64::MIN, f64::max),
            ))
        })
        .collect()
}

/// The smallest of 1, 2, 4, 5 or 8 times a power of ten that is not below `peak`: all of them divide by four well.
fn nice(peak: f64) -> f64 {
    let floor = 10f64.powf(peak.max(4.0).log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0]
        .iter()
        .map(|factor| factor * floor)
        .find(|top| *top >= peak.max(4.0))
        .unwrap_or(peak)
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// Seconds as people say them: `45 s`, `12 min`, `1.5 h`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_peak() {
        let times: Vec<f64> = (0..3600).map(f64::from).collect();
        let mut values = vec![1.0; 3600];
        values[1801] = 99.0;
        let points = thin(&times, &values);
        assert!(points.len() <= POINTS && points.iter().any(|(_, value)| *value == 99.0));
    }

    #[test]
    fn the_axis_is_never_below_the_peak() {
        for (peak, top) in [
            (0.0, 4.0),
            (4.0, 4.0),
            (5.0, 8.0),
            (9.0, 10.0),
            (11.0, 20.0),
            (37.0, 40.0),
            (81.0, 100.0),
        ] {
            assert_eq!(nice(peak), top, "{peak}");
        }
    }

    #[test]
    fn an_empty_chart_has_no_line_and_is_still_a_picture() {
        let svg = chart(
            "t",
            "u",
            &[],
            &[Line {
                class: "a",
                name: "n",
                stepped: false,
                filled: true,
                values: vec![],
            }],
        );
        assert!(svg.ends_with("</svg>") && !svg.contains("<path"), "{svg}");
    }
}
