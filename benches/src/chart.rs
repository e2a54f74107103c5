//! Small charts, both axes logarithmic, as SVG.

use crate::report::short;
use std::fmt::Write;

/// One chart.
pub struct Chart {
    /// The quantity on the vertical axis.
    pub title: &'static str,
    /// The lines; one without a positive value is not drawn.
    pub lines: Vec<Line>,
}

/// One line.
pub struct Line {
    /// The name in the legend.
    pub name: &'static str,
    /// The points, as (x, y).
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 32.0;
const GAP: f64 = 76.0;
const LEGEND: f64 = 48.0;
/// Colours that people with colour blindness can tell apart as well (after Okabe and Ito).
const COLOURS: [&str; 7] = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7"];

/// A logarithmic axis over whole decades.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) =
            values.filter(|v| *v > 0.0).fold((f64::MAX, f64::MIN), |(l, m), v| (l.min(v), m.max(v)));
        if least > most {
            return Self { from: 0.0, to: 1.0 };
        }
        let (from, to) = (least.log10().floor(), most.log10().ceil());
        Self { from, to: if to > from { to } else { from + 1.0 } }
    }

    /// The place of a value on the axis, from 0 to 1.
    fn at(&self, value: f64) -> f64 {
        (value.log10() - self.from) / (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.from as i32..=self.to as i32).map(|n| 10f64.powi(n))
    }
}

/// The charts side by side, with one legend below. It has a background of its own, so that it can be read on dark
/// pages too.
pub fn svg(charts: &[Chart]) -> String {
    let width = charts.len() as f64 * (WIDTH + GAP) + 24.0;
    let height = TOP + HEIGHT + LEGEND + 36.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <title>What each operation takes as a ledger grows</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (i, chart) in charts.iter().enumerate() {
        draw(&mut out, chart, LEFT + i as f64 * (WIDTH + GAP));
    }
    let names = charts.first().map_or(&[][..], |c| &c.lines[..]).iter().map(|l| l.name);
    let each = (width - 2.0 * LEFT) / COLOURS.len() as f64;
    for (i, (name, colour)) in names.zip(COLOURS).enumerate() {
        let (x, y) = (LEFT + i as f64 * each, TOP + HEIGHT + LEGEND + 14.0);
        let _ = writeln!(
            out,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\" y=\"{}\">{name}</text>",
            x + 20.0,
            x + 26.0,
            y + 4.0
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, chart: &Chart, left: f64) {
    let points = || chart.lines.iter().flat_map(|l| &l.points);
    let (across, up) = (Axis::over(points().map(|p| p.0)), Axis::over(points().map(|p| p.1)));
    let x = |value: f64| left + across.at(value) * WIDTH;
    let y = |value: f64| TOP + HEIGHT - up.at(value) * HEIGHT;
    let _ =
        writeln!(out, "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>", TOP - 12.0, chart.title);
    for decade in across.decades() {
        grid(out, (x(decade), TOP), (x(decade), TOP + HEIGHT));
        let (at, below) = (x(decade), TOP + HEIGHT + 16.0);
        let _ =
            writeln!(out, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{}</text>", tick(decade));
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">users</text>",
        left + WIDTH / 2.0,
        TOP + HEIGHT + 32.0
    );
    for decade in up.decades() {
        grid(out, (left, y(decade)), (left + WIDTH, y(decade)));
        let (before, at) = (left - 6.0, y(decade) + 4.0);
        let _ =
            writeln!(out, "<text x=\"{before}\" y=\"{at:.1}\" text-anchor=\"end\">{}</text>", tick(decade));
    }
    for (line, colour) in chart.lines.iter().zip(COLOURS) {
        let points: Vec<&(f64, f64)> = line.points.iter().filter(|p| p.1 > 0.0).collect();
        let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for p in points {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{}: {} {} with {} users</title></circle>",
                x(p.0),
                y(p.1),
                line.name,
                short(p.1),
                chart.title,
                short(p.0)
            );
        }
    }
}

fn grid(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// A power of ten as people write it.
fn tick(decade: f64) -> String {
    match decade {
        d if d >= 1e6 => format!("{:.0}M", d / 1e6),
        d if d >= 1e3 => format!("{:.0}k", d / 1e3),
        d if d >= 1.0 => format!("{d:.0}"),
        d => format!("{d}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_line_for_each_series_and_leaves_zeros_out() {
        let line = |name, points: &[(f64, f64)]| Line { name, points: points.to_vec() };
        let lines = vec![line("a", &[(10.0, 1.0), (100.0, 20.0)]), line("b", &[(10.0, 0.0), (100.0, 3.0)])];
        let text = svg(&[Chart { title: "seconds", lines }]);
        assert_eq!(text.matches("<polyline").count(), 2);
        assert_eq!(text.matches("<circle").count(), 3);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
