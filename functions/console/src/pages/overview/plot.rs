//! Plots over days: bars as SVG, a legend, and the same figures as a table.
//!
//! The drawing is stretched to the width that there is, so it has no text; the scale and the days stand beside it.

use crate::calendar::day_name;
use maud::{Markup, html};
use rekindle_domain::time::Time;

/// The most series of a plot: the stylesheet has a colour for each.
pub(super) const MAX_SERIES: usize = 6;

/// The units of the drawing: its height, and the width of a day.
const HEIGHT: f64 = 100.0;
const WIDTH: f64 = 10.0;

/// One of the things that are plotted.
pub(super) struct Series {
    pub(super) name: String,
    /// The number of its colour, from 1 to [`MAX_SERIES`].
    pub(super) colour: usize,
    /// A figure a day; `None`: not known.
    pub(super) values: Vec<Option<u64>>,
}

/// A plot of several series, one upon the other.
pub(super) struct Plot<'a> {
    /// The id of its heading, from which the ids of its parts are made.
    pub(super) id: &'a str,
    /// A sentence that says what is to be seen.
    pub(super) title: &'a str,
    pub(super) days: &'a [Time],
    pub(super) series: Vec<Series>,
    /// How a figure is written.
    pub(super) written: fn(u64) -> String,
    /// What stands in the legend behind the name of a series.
    pub(super) summed: fn(&Series) -> Option<u64>,
}

impl Plot<'_> {
    pub(super) fn render(&self) -> Markup {
        let on = |day: usize| {
            self.series.iter().filter_map(move |series| series.values.get(day).copied().flatten())
        };
        let most = (0..self.days.len()).map(|day| on(day).sum()).max().unwrap_or(0).max(1);
        html! {
            figure .plot aria-labelledby=(self.id) {
                div .drawing {
                    span .most { (self.written_as(most)) }
                    (self.drawing(most))
                    div .axis {
                        @if let (Some(first), Some(last)) = (self.days.first(), self.days.last()) {
                            span { (day_name(*first)) } span { (day_name(*last)) }
                        }
                    }
                }
                figcaption { (self.legend()) }
                (self.table())
            }
        }
    }

    fn written_as(&self, figure: u64) -> String {
        (self.written)(figure)
    }

    fn drawing(&self, most: u64) -> Markup {
        let title = format!("{}-title", self.id);
        let width = WIDTH * self.days.len() as f64;
        html! {
            svg .bars-plot role="img" aria-labelledby=(title) viewBox=(format!("0 0 {width} {HEIGHT}")) preserveAspectRatio="none" {
                title id=(title) { (self.title) }
                @for i in 0..self.days.len() { (self.day(i, most)) }
            }
        }
    }

    /// The bars of a day, from the bottom up. Pointing at one shows all figures of the day.
    fn day(&self, i: usize, most: u64) -> Markup {
        let figures =
            self.series.iter().filter_map(|series| Some((series, series.values[i].filter(|n| *n > 0)?)));
        let said: Vec<String> =
            figures.clone().map(|(series, n)| format!("{} {}", self.written_as(n), series.name)).collect();
        let x = WIDTH * i as f64;
        let mut top = HEIGHT;
        let bars = figures.map(|(series, n)| {
            let height = HEIGHT * n as f64 / most as f64;
            top -= height;
            (series.colour, top, height)
        });
        let bars: Vec<(usize, f64, f64)> = bars.collect();
        html! {
            @if !bars.is_empty() {
                g {
                    title { (day_name(self.days[i])) ": " (said.join(", ")) }
                    @for (colour, y, height) in bars {
                        rect .{ "series-" (colour) } x=(x + 1.0) y=(format!("{y:.2}")) width=(WIDTH - 2.0) height=(format!("{height:.2}")) {}
                    }
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            ul .legend {
                @for series in &self.series {
                    li {
                        (swatch(series.colour))
                        (series.name)
                        @if let Some(sum) = (self.summed)(series) { " " strong { (self.written_as(sum)) } }
                    }
                }
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            details {
                summary { "Show as a table" }
                div .scroll tabindex="0" role="group" aria-labelledby=(self.id) {
                    table aria-labelledby=(self.id) {
                        thead {
                            tr {
                                th scope="col" { "Day" }
                                @for series in &self.series { th scope="col" .number { (series.name) } }
                            }
                        }
                        tbody {
                            @for (i, day) in self.days.iter().enumerate().rev() {
                                tr {
                                    th scope="row" { (day_name(*day)) }
                                    @for series in &self.series {
                                        td .number { @if let Some(n) = series.values[i] { (self.written_as(n)) } @else { "–" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The colour of a series, beside its name.
pub(super) fn swatch(colour: usize) -> Markup {
    html! {
        svg .swatch viewBox="0 0 10 10" aria-hidden="true" { rect .{ "series-" (colour) } width="10" height="10" rx="2" {} }
    }
}

/// The sum of a series; `None` where nothing is known.
pub(super) fn sum(series: &Series) -> Option<u64> {
    series.values.iter().flatten().copied().reduce(|a, b| a + b)
}

/// The last figure of a series that is known.
pub(super) fn last(series: &Series) -> Option<u64> {
    series.values.iter().rev().flatten().copied().next()
}
