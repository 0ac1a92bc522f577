//! Plots as SVG: points with labels and intervals, in plain shapes that every viewer shows.

use std::fmt::Write as _;

/// A plot of points.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    pub(crate) points: Vec<Point>,
}

/// A point, and the interval of its height.
pub(crate) struct Point {
    pub(crate) label: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Whether it is filled, and on the line through all such points.
    pub(crate) front: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
/// Of the plot itself: left, top, right, bottom.
const FRAME: [f64; 4] = [70.0, 40.0, 620.0, 420.0];
/// From one figure to a larger one by more than this, the axis is logarithmic.
const WIDE: f64 = 12.0;

/// An axis: which figures are where.
struct Axis {
    from: f64,
    to: f64,
    log: bool,
    /// The ends in the picture.
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis that shows these figures; `may_log`, on a logarithmic scale where they are far apart.
    fn of(figures: impl Iterator<Item = f64> + Clone, may_log: bool, ends: (f64, f64)) -> Self {
        let figures = figures.filter(|figure| figure.is_finite());
        let (mut from, mut to) = (figures.clone().fold(f64::INFINITY, f64::min), figures.fold(0.0, f64::max));
        from = from.min(to);
        let log = may_log && from > 0.0 && to / from > WIDE;
        let ticks: Vec<f64> = if log {
            let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
            let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)));
            (from, to) = (from / 1.3, to * 1.3);
            ticks.filter(|tick| (from..=to).contains(tick)).collect()
        } else {
            from = from.min(0.0);
            let rough = ((to - from) / 5.0).max(1e-9);
            let decade = 10_f64.powf(rough.log10().floor());
            let step =
                [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade).into_iter().find(|step| *step >= rough);
            let step = step.unwrap_or(rough);
            (from, to) = ((from / step).floor() * step, (to / step).ceil().max(1.0) * step);
            (0..=((to - from) / step).round() as u32).map(|index| from + f64::from(index) * step).collect()
        };
        Self { from, to, log, ends, ticks }
    }

    fn at(&self, figure: f64) -> f64 {
        let share = match self.log {
            true => (figure / self.from).ln() / (self.to / self.from).ln(),
            false => (figure - self.from) / (self.to - self.from),
        };
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

/// A figure in few digits.
fn figure(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Plot<'_> {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let [left, top, right, bottom] = FRAME;
        let x = Axis::of(self.points.iter().map(|point| point.x), true, (left, right));
        let heights = self.points.iter().flat_map(|point| [point.low, point.y, point.high]);
        let y = Axis::of(heights, false, (bottom, top));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        let mut text = |x: f64, y: f64, anchor: &str, more: &str, text: &str| {
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{}</text>",
                escaped(text)
            );
        };
        text(left, top - 18.0, "start", " font-weight=\"bold\"", self.title);
        text((left + right) / 2.0, HEIGHT - 18.0, "middle", "", self.x);
        let middle = (top + bottom) / 2.0;
        text(18.0, middle, "middle", &format!(" transform=\"rotate(-90 18 {middle})\""), self.y);
        for tick in &x.ticks {
            text(x.at(*tick), bottom + 18.0, "middle", "", &figure(*tick));
        }
        for tick in &y.ticks {
            text(left - 8.0, y.at(*tick) + 4.0, "end", "", &figure(*tick));
        }
        // Labels at about the same place are set below each other.
        let mut placed: Vec<(f64, f64)> = Vec::new();
        for point in &self.points {
            let (at, mut height) = (x.at(point.x) + 9.0, y.at(point.y) + 4.0);
            while placed.iter().any(|(x, y)| (x - at).abs() < 90.0 && (y - height).abs() < 12.0) {
                height += 12.0;
            }
            placed.push((at, height));
            text(at, height, "start", "", &point.label);
        }
        for tick in &y.ticks {
            let height = y.at(*tick);
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{height:.1}\" x2=\"{right}\" y2=\"{height:.1}\" stroke=\"#ddd\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#888\"/>",
            right - left,
            bottom - top
        );
        let mut front: Vec<_> = self.points.iter().filter(|point| point.front).collect();
        front.sort_by(|a, b| a.x.total_cmp(&b.x));
        let corners: Vec<_> =
            front.iter().map(|point| format!("{:.1},{:.1}", x.at(point.x), y.at(point.y))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#2266aa\" stroke-dasharray=\"4 3\"/>",
            corners.join(" ")
        );
        for point in &self.points {
            let (at, height) = (x.at(point.x), y.at(point.y));
            let (low, high) = (y.at(point.low), y.at(point.high));
            let fill = if point.front { "#2266aa" } else { "white" };
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{low:.1}\" x2=\"{at:.1}\" y2=\"{high:.1}\" stroke=\"#2266aa\"/>\n\
                 <circle cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"#2266aa\"/>"
            );
        }
        svg + "</svg>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_every_point_with_its_label() {
        let point = |label: &str, x, y, front| Point {
            label: label.into(),
            x,
            y,
            low: y - 0.1,
            high: y + 0.1,
            front,
        };
        let points = vec![
            point("a<b", 1000.0, 0.6, true),
            point("pnlc", 40_000.0, 0.8, true),
            point("c", 40_000.0, 0.8, false),
        ];
        let svg = Plot { title: "t", x: "tokens", y: "score", points }.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains(">a&lt;b</text>") && svg.contains(">10000</text>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        // Nothing to show is an empty frame.
        let svg = Plot { title: "t", x: "x", y: "y", points: Vec::new() }.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
